package main

import (
	"bytes"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"time"

	"github.com/foliokv/folio"
)

// Two buckets: sessions by token, the end (8 bytes, seconds, big-endian) before the user's name;
// and tokens by end, so that a sweep touches only what has ended.
var (
	bySession = []byte("sessions")
	byEnd     = []byte("by end")
)

var errNoSession = errors.New("no such session")

type store struct {
	db  *folio.DB
	ttl time.Duration
	now func() time.Time
}

func newStore(db *folio.DB, ttl time.Duration, now func() time.Time) (*store, error) {
	err := db.Update(func(tx *folio.Tx) error {
		for _, name := range [][]byte{bySession, byEnd} {
			if _, err := tx.CreateBucketIfNotExists(name); err != nil {
				return err
			}
		}
		return nil
	})
	return &store{db, ttl, now}, err
}

// login begins a session and returns its token.
func (s *store) login(user string) (token string, err error) {
	token = rand.Text()
	return token, s.db.Update(func(tx *folio.Tx) error {
		return s.put(tx, token, user)
	})
}

// use returns the user of a session. When less than half of its time is left it is extended,
// so that most requests only read.
func (s *store) use(token string) (user string, err error) {
	var left time.Duration
	err = s.db.View(func(tx *folio.Tx) error {
		user, left, err = s.get(tx, token)
		return err
	})
	if err != nil || left > s.ttl/2 {
		return user, err
	}
	return user, s.db.Update(func(tx *folio.Tx) error {
		if _, _, err := s.get(tx, token); err != nil {
			return err // it ended meanwhile
		}
		return errors.Join(s.remove(tx, token), s.put(tx, token, user))
	})
}

func (s *store) logout(token string) error {
	return s.db.Update(func(tx *folio.Tx) error { return s.remove(tx, token) })
}

// sweep removes the sessions that have ended and returns how many they were.
func (s *store) sweep() (n int, err error) {
	return n, s.db.Update(func(tx *folio.Tx) error {
		ends, sessions := tx.Bucket(byEnd), tx.Bucket(bySession)
		bound := seconds(s.now())
		for _, token := range ends.Range(nil, bound) {
			if err := sessions.Delete(token); err != nil {
				return err
			}
			n++
		}
		return ends.DeleteRange(nil, bound)
	})
}

func (s *store) get(tx *folio.Tx, token string) (user string, left time.Duration, err error) {
	v := tx.Bucket(bySession).Get([]byte(token))
	if v == nil {
		return "", 0, errNoSession
	}
	left = time.Unix(int64(binary.BigEndian.Uint64(v)), 0).Sub(s.now())
	if left <= 0 {
		return "", 0, errNoSession
	}
	return string(v[8:]), left, nil
}

func (s *store) put(tx *folio.Tx, token, user string) error {
	end := seconds(s.now().Add(s.ttl))
	return errors.Join(
		tx.Bucket(bySession).Put([]byte(token), append(end, user...)),
		tx.Bucket(byEnd).Put(append(bytes.Clone(end), token...), []byte(token)),
	)
}

func (s *store) remove(tx *folio.Tx, token string) error {
	sessions := tx.Bucket(bySession)
	v := sessions.Get([]byte(token))
	if v == nil {
		return nil
	}
	end := append(bytes.Clone(v[:8]), token...)
	return errors.Join(tx.Bucket(byEnd).Delete(end), sessions.Delete([]byte(token)))
}

func seconds(t time.Time) []byte { return binary.BigEndian.AppendUint64(nil, uint64(t.Unix())) }
