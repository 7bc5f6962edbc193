package bolt

import (
	"context"
	"fmt"
	"io"
	"log"
	"log/slog"
	"os"
	"strings"
)

// A Logger takes messages of several levels, with the forms of fmt.Sprint and fmt.Sprintf.
// After Fatal the process ends, after Panic the goroutine panics.
type Logger interface {
	Debug(v ...interface{})
	Debugf(format string, v ...interface{})

	Error(v ...interface{})
	Errorf(format string, v ...interface{})

	Info(v ...interface{})
	Infof(format string, v ...interface{})

	Warning(v ...interface{})
	Warningf(format string, v ...interface{})

	Fatal(v ...interface{})
	Fatalf(format string, v ...interface{})

	Panic(v ...interface{})
	Panicf(format string, v ...interface{})
}

// A DefaultLogger is a Logger on one of package log: a message is a line that begins with its
// level.
type DefaultLogger struct {
	*log.Logger
	debug bool
}

var discardLogger Logger = &DefaultLogger{Logger: log.New(io.Discard, "", 0)}

// EnableTimestamps puts date and time before each message.
func (l *DefaultLogger) EnableTimestamps() { l.SetFlags(l.Flags() | log.Ldate | log.Ltime) }

// EnableDebug lets the messages of Debug and Debugf through.
func (l *DefaultLogger) EnableDebug() { l.debug = true }

// line writes a message of the method two calls up.
func (l *DefaultLogger) line(level, message string) {
	_ = l.Output(3, level+": "+message)
}

// Debug logs a message if EnableDebug was called.
func (l *DefaultLogger) Debug(v ...interface{}) {
	if l.debug {
		l.line("DEBUG", fmt.Sprint(v...))
	}
}

// Debugf logs a message if EnableDebug was called.
func (l *DefaultLogger) Debugf(format string, v ...interface{}) {
	if l.debug {
		l.line("DEBUG", fmt.Sprintf(format, v...))
	}
}

// Info logs a message.
func (l *DefaultLogger) Info(v ...interface{}) { l.line("INFO", fmt.Sprint(v...)) }

// Infof logs a message.
func (l *DefaultLogger) Infof(format string, v ...interface{}) {
	l.line("INFO", fmt.Sprintf(format, v...))
}

// Error logs a message.
func (l *DefaultLogger) Error(v ...interface{}) { l.line("ERROR", fmt.Sprint(v...)) }

// Errorf logs a message.
func (l *DefaultLogger) Errorf(format string, v ...interface{}) {
	l.line("ERROR", fmt.Sprintf(format, v...))
}

// Warning logs a message.
func (l *DefaultLogger) Warning(v ...interface{}) { l.line("WARN", fmt.Sprint(v...)) }

// Warningf logs a message.
func (l *DefaultLogger) Warningf(format string, v ...interface{}) {
	l.line("WARN", fmt.Sprintf(format, v...))
}

// Fatal logs a message and ends the process.
func (l *DefaultLogger) Fatal(v ...interface{}) {
	l.line("FATAL", fmt.Sprint(v...))
	os.Exit(1)
}

// Fatalf logs a message and ends the process.
func (l *DefaultLogger) Fatalf(format string, v ...interface{}) {
	l.line("FATAL", fmt.Sprintf(format, v...))
	os.Exit(1)
}

// Panic logs a message and panics with it.
func (l *DefaultLogger) Panic(v ...interface{}) { l.Logger.Panic(v...) }

// Panicf logs a message and panics with it.
func (l *DefaultLogger) Panicf(format string, v ...interface{}) { l.Logger.Panicf(format, v...) }

// loggerFor returns what the engine logs to, so that l gets it.
func loggerFor(l Logger) *slog.Logger { return slog.New(handler{l: l}) }

// A handler gives the engine's records to a Logger.
type handler struct {
	l     Logger
	attrs string
}

func (h handler) Enabled(context.Context, slog.Level) bool { return true }

func (h handler) Handle(_ context.Context, r slog.Record) error {
	var text strings.Builder
	text.WriteString(r.Message)
	text.WriteString(h.attrs)
	r.Attrs(func(a slog.Attr) bool {
		fmt.Fprintf(&text, " %v", a)
		return true
	})
	switch {
	case r.Level >= slog.LevelError:
		h.l.Error(text.String())
	case r.Level >= slog.LevelWarn:
		h.l.Warning(text.String())
	case r.Level >= slog.LevelInfo:
		h.l.Info(text.String())
	default:
		h.l.Debug(text.String())
	}
	return nil
}

func (h handler) WithAttrs(attrs []slog.Attr) slog.Handler {
	for _, a := range attrs {
		h.attrs += fmt.Sprintf(" %v", a)
	}
	return h
}

func (h handler) WithGroup(string) slog.Handler { return h }
