package main

import (
	"bytes"
	"strings"

	"github.com/foliokv/folio"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// maxCompletions bounds how many buckets or keys are offered.
const maxCompletions = 100

// complete offers what the word before the cursor can become: it is the editor's completer.
func (s *session) complete(line string, cursor int) (head string, completions []string, tail string) {
	before, tail := string([]rune(line)[:cursor]), string([]rune(line)[cursor:])
	parsed := parseShellLine(before)
	words := parsed.commands[len(parsed.commands)-1]
	word, start := "", len(before)
	if parsed.openWord {
		start = words[len(words)-1].start
		word, words = before[start:], words[:len(words)-1]
	}
	candidates := s.candidates(words, word, parsed.quote)
	if len(candidates) == 1 && !strings.HasSuffix(candidates[0], "/") {
		candidates[0] += " "
	}
	return before[:start], candidates, tail
}

// candidates are the words that begin with word, typed so far, and may follow words.
func (s *session) candidates(words []shellWord, word string, quote byte) []string {
	commands := newShellCommands(s)
	if len(words) == 0 {
		return commandNames(commands, word)
	}
	cmd, _, err := commands.Find([]string{words[0].text})
	if err != nil || cmd == commands {
		return nil
	}
	if strings.HasPrefix(word, "-") {
		return flagNames(cmd, word)
	}
	if len(cmd.ValidArgs) > 0 {
		return withPrefix(cmd.ValidArgs, word)
	}
	var found []string
	// Where the store cannot be read there is nothing to offer; the command will say why.
	_ = s.view(func(tx *folio.Tx) error {
		switch cmd.Name() {
		case "cd", "ls", "mkdir", "drop", "rename":
			found = completeBucket(tx, s.cwd, word)
		case "get", "put", "del", "rank", "seek", "scan", "count":
			found = completeKey(tx, s.cwd, word, quote)
		case "rollback", "release":
			for _, savepoint := range s.savepoints {
				found = append(found, savepoint.name)
			}
			found = withPrefix(found, word)
		}
		return nil
	})
	return found
}

func withPrefix(names []string, prefix string) (found []string) {
	for _, name := range names {
		if strings.HasPrefix(name, prefix) {
			found = append(found, name)
		}
	}
	return found
}

func commandNames(commands *cobra.Command, prefix string) (names []string) {
	for _, cmd := range commands.Commands() {
		names = append(names, cmd.Name())
	}
	return withPrefix(append(names, "help"), prefix)
}

func flagNames(cmd *cobra.Command, prefix string) (names []string) {
	cmd.Flags().VisitAll(func(flag *pflag.Flag) { names = append(names, "--"+flag.Name) })
	return withPrefix(names, prefix)
}

// completeBucket offers the paths, relative to from, that begin with word.
func completeBucket(tx *folio.Tx, from bucketPath, word string) (found []string) {
	parts := splitPath(word)
	if strings.HasSuffix(word, "/") || word == "" {
		parts = append(parts, "")
	}
	last := parts[len(parts)-1]
	around := strings.TrimSuffix(word, last)
	prefix, err := unescape(last)
	if err != nil {
		return nil
	}
	if around == "" {
		around = "."
	}
	path, err := from.resolve(around)
	if err != nil {
		return nil
	}
	bucket, err := path.find(tx)
	if err != nil {
		return nil
	}
	cursor := tx.Cursor()
	if bucket != nil {
		cursor = bucket.Cursor()
	}
	for name, value := cursor.Seek(prefix); name != nil && bytes.HasPrefix(name, prefix); name, value = cursor.Next() {
		if value != nil {
			continue
		}
		if found = append(found, strings.TrimSuffix(word, last)+escapedWord(bucketPath{name}.String())); len(found) == maxCompletions {
			break
		}
	}
	return found
}

// escapedWord adds to an escaped text what keeps it one word in the shell.
func escapedWord(escaped string) string {
	var b strings.Builder
	for i := 0; i < len(escaped); i++ {
		switch ch := escaped[i]; {
		case ch == '\\' && i+1 < len(escaped):
			b.WriteString(escaped[i : i+2])
			i++
		case strings.IndexByte(" ;#\"'", ch) >= 0:
			b.WriteByte('\\')
			b.WriteByte(ch)
		default:
			b.WriteByte(ch)
		}
	}
	return b.String()
}

// completeKey offers the keys of the bucket at path that begin with word, which may begin with
// a quotation mark.
func completeKey(tx *folio.Tx, path bucketPath, word string, quote byte) (found []string) {
	bucket, err := path.find(tx)
	if err != nil || bucket == nil {
		return nil
	}
	typed := word
	if quote != 0 {
		typed = strings.TrimPrefix(word, string(quote))
	}
	prefix, err := unescape(typed)
	if err != nil {
		return nil
	}
	for key, value := range bucket.Prefix(prefix) {
		if value == nil {
			continue
		}
		candidate := plainText(string(appendEscaped(nil, key, " ;#\"'")))
		if quote != 0 {
			candidate = string(appendQuoted(nil, key))
		}
		if found = append(found, candidate); len(found) == maxCompletions {
			break
		}
	}
	return found
}
