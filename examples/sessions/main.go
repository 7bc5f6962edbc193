// Sessions is a small web server that keeps its sessions in folio: they survive a restart, and
// old ones go away by themselves.
//
//	go run ./examples/sessions -file sessions.folio &
//	curl -c jar -d user=ada localhost:8080/login
//	curl -b jar localhost:8080/
package main

import (
	"errors"
	"flag"
	"fmt"
	"log"
	"net/http"
	"time"

	"github.com/foliokv/folio"
)

func main() {
	file := flag.String("file", "sessions.folio", "where sessions are kept")
	addr := flag.String("addr", "localhost:8080", "where to listen")
	ttl := flag.Duration("ttl", time.Hour, "how long a session lasts without being used")
	flag.Parse()

	db, err := folio.Open(*file, 0o600, &folio.Options{Timeout: time.Second})
	if err != nil {
		log.Fatal(err)
	}
	defer db.Close()
	s, err := newStore(db, *ttl, time.Now)
	if err != nil {
		log.Fatal(err)
	}
	go func() {
		for range time.Tick(*ttl / 10) {
			if n, err := s.sweep(); err != nil || n > 0 {
				log.Printf("%d sessions have ended: %v", n, err)
			}
		}
	}()
	log.Fatal(http.ListenAndServe(*addr, s.handler()))
}

const cookieName = "session"

// handler serves /login, /logout, and a page that knows who is looking at it.
func (s *store) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /login", func(w http.ResponseWriter, r *http.Request) {
		user := r.PostFormValue("user")
		if user == "" {
			http.Error(w, "who?", http.StatusBadRequest)
			return
		}
		token, err := s.login(user)
		if err != nil {
			fail(w, err)
			return
		}
		http.SetCookie(w, &http.Cookie{Name: cookieName, Value: token, Path: "/", HttpOnly: true})
	})
	mux.HandleFunc("POST /logout", func(w http.ResponseWriter, r *http.Request) {
		if c, err := r.Cookie(cookieName); err == nil {
			if err := s.logout(c.Value); err != nil {
				fail(w, err)
			}
		}
	})
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, r *http.Request) {
		c, err := r.Cookie(cookieName)
		if err != nil {
			fail(w, errNoSession)
			return
		}
		user, err := s.use(c.Value)
		if err != nil {
			fail(w, err)
			return
		}
		fmt.Fprintf(w, "Hello, %s.\n", user)
	})
	return mux
}

func fail(w http.ResponseWriter, err error) {
	if errors.Is(err, errNoSession) {
		http.Error(w, "please log in", http.StatusUnauthorized)
		return
	}
	log.Print(err)
	http.Error(w, "the store does not answer", http.StatusInternalServerError)
}
