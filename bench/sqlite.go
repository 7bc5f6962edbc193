//go:build cgo

package main

import (
	"context"
	"database/sql"
	"errors"
	"path/filepath"
	"sync"

	_ "github.com/mattn/go-sqlite3"
)

func init() {
	register(Engine{
		Name:    "sqlite",
		Durable: "WAL, synchronous=FULL",
		NoSync:  "WAL, synchronous=OFF",
		Open:    openSQLite,
	})
}

// sqliteStore keeps idle connections with their statements; mu queues the writers in Go, which is
// kinder than SQLite's polling.
type sqliteStore struct {
	db   *sql.DB
	mu   sync.Mutex
	idle chan *sqliteConn
}

type sqliteConn struct {
	conn *sql.Conn
	stmt map[string]*sql.Stmt
	buf  []byte
}

const (
	sqlBeginRead  = "begin"
	sqlBeginWrite = "begin immediate"
	sqlCommit     = "commit"
	sqlRollback   = "rollback"
	sqlGet        = "select v from kv where k = ?"
	sqlPut        = "insert or replace into kv values(?, ?)"
	sqlDelete     = "delete from kv where k = ?"
	sqlScan       = "select k, v from kv where k >= ? order by k"
	sqlReverse    = "select k, v from kv order by k desc"
)

func openSQLite(dir string, durable bool) (Store, error) {
	sync := "off"
	if durable {
		sync = "full"
	}
	db, err := sql.Open("sqlite3", "file:"+filepath.Join(dir, "data.sqlite")+
		"?_journal_mode=wal&_busy_timeout=60000&_synchronous="+sync)
	if err != nil {
		return nil, err
	}
	_, err = db.Exec("create table if not exists kv(k blob primary key, v blob) without rowid")
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return &sqliteStore{db: db, idle: make(chan *sqliteConn, 256)}, nil
}

func (s *sqliteStore) Close() error {
	close(s.idle)
	var errs []error
	for c := range s.idle {
		errs = append(errs, c.close())
	}
	return errors.Join(append(errs, s.db.Close())...)
}

func (s *sqliteStore) acquire() (*sqliteConn, error) {
	select {
	case c := <-s.idle:
		return c, nil
	default:
	}
	conn, err := s.db.Conn(context.Background())
	if err != nil {
		return nil, err
	}
	return &sqliteConn{conn: conn, stmt: map[string]*sql.Stmt{}}, nil
}

// within runs fn between begin and an end of the transaction.
func (s *sqliteStore) within(begin string, fn func(*sqliteConn) error) error {
	c, err := s.acquire()
	if err != nil {
		return err
	}
	if err := c.exec(begin); err != nil {
		return errors.Join(err, c.close())
	}
	if err := fn(c); err != nil {
		return errors.Join(err, c.exec(sqlRollback), c.close())
	}
	if err := c.exec(sqlCommit); err != nil {
		return errors.Join(err, c.close())
	}
	s.idle <- c
	return nil
}

func (s *sqliteStore) View(fn func(Reader) error) error {
	return s.within(sqlBeginRead, func(c *sqliteConn) error { return fn(c) })
}

func (s *sqliteStore) Update(fn func(Writer) error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.within(sqlBeginWrite, func(c *sqliteConn) error { return fn(c) })
}

func (s *sqliteStore) ReadPoint(key []byte, fn func(value []byte) error) error {
	c, err := s.acquire()
	if err != nil {
		return err
	}
	v, err := c.Get(key)
	if err == nil {
		err = fn(v)
	}
	s.idle <- c
	return err
}

func (c *sqliteConn) close() error {
	for _, stmt := range c.stmt {
		stmt.Close()
	}
	return c.conn.Close()
}

func (c *sqliteConn) prepared(query string) (*sql.Stmt, error) {
	if stmt := c.stmt[query]; stmt != nil {
		return stmt, nil
	}
	stmt, err := c.conn.PrepareContext(context.Background(), query)
	if err == nil {
		c.stmt[query] = stmt
	}
	return stmt, err
}

func (c *sqliteConn) exec(query string, args ...any) error {
	stmt, err := c.prepared(query)
	if err != nil {
		return err
	}
	_, err = stmt.Exec(args...)
	return err
}

func (c *sqliteConn) Put(key, value []byte) error { return c.exec(sqlPut, key, value) }
func (c *sqliteConn) Delete(key []byte) error     { return c.exec(sqlDelete, key) }

func (c *sqliteConn) Get(key []byte) ([]byte, error) {
	stmt, err := c.prepared(sqlGet)
	if err != nil {
		return nil, err
	}
	err = stmt.QueryRow(key).Scan(&c.buf)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	return c.buf, err
}

func (c *sqliteConn) Scan(from []byte, fn func(key, value []byte) bool) error {
	if from == nil {
		from = []byte{}
	}
	return c.walk(fn, sqlScan, from)
}

func (c *sqliteConn) Reverse(fn func(key, value []byte) bool) error {
	return c.walk(fn, sqlReverse)
}

func (c *sqliteConn) walk(fn func(key, value []byte) bool, query string, args ...any) error {
	stmt, err := c.prepared(query)
	if err != nil {
		return err
	}
	rows, err := stmt.Query(args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	var k, v sql.RawBytes
	for more := true; more && rows.Next(); {
		if err := rows.Scan(&k, &v); err != nil {
			return err
		}
		more = fn(k, v)
	}
	return rows.Err()
}
