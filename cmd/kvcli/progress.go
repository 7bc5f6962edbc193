package main

import (
	"sync"
	"time"

	"github.com/schollz/progressbar/v3"
)

// A progress shows on standard error, if that is a terminal, how far a command is: from its
// first second on, and gone when it ends.
type progress struct {
	mu    sync.Mutex
	bar   *progressbar.ProgressBar // nil until shown
	done  int64
	total int64 // -1 is not known
	timer *time.Timer
}

// patience is how long a command may take before it shows its progress.
const patience = time.Second

// newProgress shows how much of total is done, with rate and time left. A total of -1 is not known.
func (c *cli) newProgress(what string, total int64, inBytes bool) *progress {
	p := &progress{total: total}
	if !c.errTerminal {
		return p
	}
	p.timer = time.AfterFunc(patience, func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.bar = progressbar.NewOptions64(p.total,
			progressbar.OptionSetWriter(c.err),
			progressbar.OptionSetDescription(what),
			progressbar.OptionShowBytes(inBytes),
			progressbar.OptionUseIECUnits(true),
			progressbar.OptionShowCount(),
			progressbar.OptionSetWidth(24),
			progressbar.OptionThrottle(100*time.Millisecond),
			progressbar.OptionClearOnFinish())
		// An error means that the terminal is gone; the work goes on.
		_ = p.bar.Set64(p.done)
	})
	return p
}

func (p *progress) advance(n int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.done += n
	if p.bar != nil {
		_ = p.bar.Add64(n)
	}
}

// report sets how much of how much is done.
func (p *progress) report(done, total int64) {
	p.mu.Lock()
	p.total = total
	if p.bar != nil && p.bar.GetMax64() != total {
		p.bar.ChangeMax64(total)
	}
	p.mu.Unlock()
	p.advance(done - p.done)
}

// clear makes room on the terminal for a line of output; the next advance shows the bar again.
func (p *progress) clear() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.bar != nil {
		_ = p.bar.Clear()
	}
}

func (p *progress) finish() {
	if p.timer != nil {
		p.timer.Stop()
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.bar != nil {
		_ = p.bar.Clear()
		_ = p.bar.Exit()
	}
}
