// Timeseries records numbers over time, answers what they were in a span, and forgets old ones.
//
//	vmstat -n 1 | awk '{print "free", $4; fflush()}' | go run ./examples/timeseries -keep 24h record
//	go run ./examples/timeseries show free 10m 1m
//
// Record reads lines of a name and a number. Show prints the mean for each step of the last
// span.
package main

import (
	"bufio"
	"flag"
	"fmt"
	"io"
	"log"
	"os"
	"time"

	"github.com/foliokv/folio"
)

func main() {
	log.SetFlags(0)
	file := flag.String("file", "timeseries.folio", "where the numbers are kept")
	keep := flag.Duration("keep", 7*24*time.Hour, "how long numbers are kept")
	flag.Usage = func() {
		fmt.Fprintln(os.Stderr, "timeseries [FLAGS] record\ntimeseries [FLAGS] show NAME SPAN STEP")
		flag.PrintDefaults()
	}
	flag.Parse()
	// The last tenth of a second may be lost in a crash; recording does not wait for the disk.
	db, err := folio.Open(*file, 0o644, &folio.Options{Durability: folio.Deferred, Timeout: time.Second})
	if err != nil {
		log.Fatal(err)
	}
	r := recorder{db, *keep}
	switch {
	case flag.Arg(0) == "record" && flag.NArg() == 1:
		err = r.record(os.Stdin, time.Now)
	case flag.Arg(0) == "show" && flag.NArg() == 4:
		err = r.show(os.Stdout, flag.Arg(1), flag.Arg(2), flag.Arg(3), time.Now())
	default:
		flag.Usage()
		err = fmt.Errorf("what to do?")
	}
	if closed := db.Close(); err == nil {
		err = closed
	}
	if err != nil {
		log.Fatal(err)
	}
}

// record adds what the lines say, until they end. Now and then it forgets what is too old.
func (r recorder) record(lines io.Reader, now func() time.Time) error {
	in := bufio.NewScanner(lines)
	for n := 0; in.Scan(); n++ {
		var name string
		var value float64
		if _, err := fmt.Sscan(in.Text(), &name, &value); err != nil {
			return fmt.Errorf("line %d: %w", n+1, err)
		}
		if err := r.add(name, now(), value); err != nil {
			return err
		}
		if n%1000 == 0 {
			if err := r.forget(now()); err != nil {
				return err
			}
		}
	}
	return in.Err()
}

func (r recorder) show(w io.Writer, name, span, step string, now time.Time) error {
	length, err1 := time.ParseDuration(span)
	width, err2 := time.ParseDuration(step)
	if err1 != nil || err2 != nil || width <= 0 {
		return fmt.Errorf("span %q and step %q must be durations like 90s", span, step)
	}
	points, err := r.means(name, now.Add(-length), now, width)
	for _, p := range points {
		fmt.Fprintf(w, "%s  %d values, mean %g\n", p.from.UTC().Format(time.DateTime), p.n, p.mean)
	}
	return err
}
