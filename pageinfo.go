package folio

import (
	"context"
	"fmt"

	"github.com/foliokv/folio/internal/pageinfo"
)

func init() {
	pageinfo.Of = func(tx any, pgno uint32) (pageinfo.Info, error) {
		t, ok := tx.(*Tx)
		if !ok {
			return pageinfo.Info{}, fmt.Errorf("not a transaction: %T", tx)
		}
		return t.pageInfo(pgno)
	}
}

// pageInfo tells what page pgno of the state is.
func (tx *Tx) pageInfo(pgno uint32) (pageinfo.Info, error) {
	if pgno < metaPages {
		return pageinfo.Info{Type: "meta"}, nil
	}
	info := pageinfo.Info{Type: "free"}
	c := newChecker(tx, context.Background(), CheckOptions{})
	c.visit = func(r run, p page) {
		switch {
		case pgno < r.start || pgno >= r.end():
		case p == nil:
			info = pageinfo.Info{Type: "value", Overflow: int(r.end() - pgno - 1)}
		case p.level() == 0:
			info = pageinfo.Info{Type: "leaf", Count: p.count()}
		default:
			info = pageinfo.Info{Type: "branch", Count: p.count()}
		}
	}
	if err := c.reach(); err != nil {
		return info, err
	}
	tx.db.mu.Lock()
	defer tx.db.mu.Unlock()
	for _, r := range tx.db.log.chain {
		if r.pgno == pgno && info.Type == "free" {
			info.Type = "freelist"
		}
	}
	return info, nil
}
