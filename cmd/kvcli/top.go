package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/foliokv/folio"
	"github.com/spf13/cobra"
)

// A top is one run of the top command.
type top struct {
	c        *cli
	from     string // URL or file
	name     string // of the store among those published
	interval time.Duration
	count    int
	json     bool
}

func newTopCommand(c *cli) *cobra.Command {
	t := top{c: c}
	cmd := &cobra.Command{
		Use:     "top URL | FILE",
		GroupID: groupLook,
		Short:   "Show the counters of a running store as they change",
		Long: `top shows what a store does: transactions, flushes and bytes a second, readers and the
oldest state they hold, and how the file is used; anew every --interval until it is
interrupted or --count is reached.

URL is where the program that has the store open serves its expvar variables, most
often http://HOST:PORT/debug/vars; the program publishes the store with package
foliovar. If it publishes several, --name chooses one. A FILE is opened for reading
each time, which works as long as no process has it open for writing.

The first figures are since the store was opened, the rates of later ones since those
before.`,
		Example: `  kvcli top store.db --count 1
  kvcli top http://localhost:6060/debug/vars --count 2 --interval 100ms
  kvcli top http://localhost:6060/debug/vars --name sessions --count 1 --json`,
		ValidArgsFunction: c.completeArguments(fileArgument),
		Args:              argCount(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if t.interval <= 0 || t.count < 0 {
				return usagef(cmd, "--interval takes a time and --count a number, both above 0")
			}
			t.from = args[0]
			return t.run(cmd.Context())
		},
	}
	cmd.Flags().StringVar(&t.name, "name", "", "the name under which the store is published")
	cmd.Flags().DurationVar(&t.interval, "interval", 2*time.Second, "time between two looks")
	cmd.Flags().IntVar(&t.count, "count", 0, "end after so many looks; 0 goes on")
	addJSONFlag(cmd, &t.json)
	return cmd
}

// A sample is what the counters were at one time.
type sample struct {
	at    time.Time
	name  string
	stats folio.Stats
}

func (t *top) run(parent context.Context) error {
	ctx, stop := interruptible(parent)
	defer stop()
	var before *sample
	for n := 1; ; n++ {
		now, err := t.look(ctx)
		if ctx.Err() != nil {
			return nil // whoever has seen enough interrupts
		}
		if err != nil {
			return err
		}
		if err := t.show(before, now); err != nil {
			return err
		}
		if before = now; n == t.count {
			return nil
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(t.interval):
		}
	}
}

func (t *top) look(ctx context.Context) (*sample, error) {
	if strings.HasPrefix(t.from, "http://") || strings.HasPrefix(t.from, "https://") {
		return t.fetch(ctx)
	}
	db, err := t.c.open(t.from, toRead, nil)
	if err != nil {
		return nil, err
	}
	defer db.Close()
	return &sample{time.Now(), t.from, db.Stats()}, nil
}

// maxVars bounds what is read of a server's answer, in bytes.
const maxVars = 16 << 20

// fetch asks for the expvar variables of a program.
func (t *top) fetch(ctx context.Context) (*sample, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, t.from, nil)
	if err != nil {
		return nil, err
	}
	client := http.Client{Timeout: 10 * time.Second}
	response, err := client.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s: %s", t.from, response.Status)
	}
	var vars struct {
		Folio map[string]json.RawMessage `json:"folio"`
	}
	body, err := io.ReadAll(io.LimitReader(response.Body, maxVars))
	if err == nil {
		err = json.Unmarshal(body, &vars)
	}
	if err != nil {
		return nil, fmt.Errorf("%s does not serve expvar variables: %w", t.from, err)
	}
	name, err := t.choose(slices.Sorted(maps.Keys(vars.Folio)))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", t.from, err)
	}
	s := &sample{at: time.Now(), name: name}
	if s.stats, err = publishedStats(vars.Folio[name]); err != nil {
		return nil, fmt.Errorf("%s: store %s: %w", t.from, name, err)
	}
	return s, nil
}

func (t *top) choose(names []string) (string, error) {
	switch {
	case len(names) == 0:
		return "", errors.New("no store is published there: the program calls foliovar.Publish")
	case t.name == "" && len(names) == 1:
		return names[0], nil
	case t.name == "":
		return "", fmt.Errorf("several stores are published there, choose one with --name: %s", strings.Join(names, ", "))
	case !slices.Contains(names, t.name):
		return "", fmt.Errorf("no store %s is published there, only %s", t.name, strings.Join(names, ", "))
	}
	return t.name, nil
}

// publishedStats reads what package foliovar shows of a store: its Stats, but with histograms
// and the age of readers summed up.
func publishedStats(data []byte) (folio.Stats, error) {
	var s struct {
		folio.Stats
		GroupSize, FlushTime json.RawMessage
		OldestAge            json.RawMessage
		OldestAgeSeconds     float64
	}
	err := json.Unmarshal(data, &s)
	s.Stats.OldestAge = time.Duration(s.OldestAgeSeconds * float64(time.Second))
	return s.Stats, err
}

// show prints a sample: as the whole screen on a terminal, else below those before.
func (t *top) show(before, now *sample) error {
	if t.c.outTerminal && !t.json {
		t.c.out.WriteString("\x1b[H\x1b[2J")
	} else if before != nil && !t.json {
		t.c.out.WriteByte('\n')
	}
	t.c.printFacts(t.json, topFacts(before, now)...)
	return t.c.out.Flush()
}

// A perSecond is how often something happens.
type perSecond float64

func (p perSecond) String() string { return fmt.Sprintf("%.1f/s", float64(p)) }

func (p perSecond) MarshalJSON() ([]byte, error) { return fmt.Appendf(nil, "%.3f", float64(p)), nil }

func topFacts(before, now *sample) []fact {
	s := now.stats
	facts := []fact{{"time", now.at.Format(time.RFC3339)}, {"store", now.name}}
	if before != nil {
		b, took := before.stats, max(now.at.Sub(before.at), time.Millisecond)
		per := func(now, before int) perSecond { return perSecond(float64(now-before) / took.Seconds()) }
		facts = append(facts,
			fact{"reads_per_second", per(s.TxN, b.TxN)},
			fact{"writes_per_second", per(s.WriteTxN, b.WriteTxN)},
			fact{"flushes_per_second", per(s.FlushN, b.FlushN)},
			fact{"bytes_written_per_second", rateOf(s.BytesWritten-b.BytesWritten, took)})
	}
	return append(facts,
		fact{"read_transactions", s.TxN},
		fact{"write_transactions", s.WriteTxN},
		fact{"rolled_back", s.RollbackN},
		fact{"flushes", s.FlushN},
		fact{"bytes_written", size(s.BytesWritten)},
		fact{"txid", s.Txid},
		fact{"durable_txid", s.DurableTxid},
		fact{"readers", s.OpenTxN},
		fact{"oldest_txid_read", s.OldestTxid},
		fact{"oldest_read_age", seconds(s.OldestAge)},
		fact{"pages", s.PageN},
		fact{"free_pages", s.FreePageN},
		fact{"pending_pages", s.PendingPageN},
		fact{"kept_pages", s.KeptPageN},
		fact{"file_size", size(s.FileSize)})
}
