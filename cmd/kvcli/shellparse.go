package main

import (
	"errors"
	"strings"
)

// A shellWord is a word of a line of the shell, as an argument of a command has it.
type shellWord struct {
	text  string
	start int // where it begins in the line
}

// A shellLine is a line of the shell in its parts.
type shellLine struct {
	commands [][]shellWord // the last one may have no words
	openWord bool          // the line ends within a word or quotes
	quote    byte          // the kind of quotes it ends within, or 0
}

// parseShellLine cuts a line at spaces into words, at semicolons into commands, and drops what
// follows a # that begins a word. Double quotes keep spaces together, single quotes all
// characters as they are. Escapes stay for the commands to read, except that a quoted word
// never stands for hexadecimal, a file, standard input or a flag.
func parseShellLine(line string) shellLine {
	result := shellLine{commands: [][]shellWord{nil}}
	var word strings.Builder
	start, quoted := -1, false
	endWord := func() {
		if start < 0 {
			return
		}
		text := word.String()
		if quoted {
			text = plainText(text)
		}
		last := len(result.commands) - 1
		result.commands[last] = append(result.commands[last], shellWord{text: text, start: start})
		word.Reset()
		start, quoted = -1, false
	}
	for i := 0; i < len(line); i++ {
		ch := line[i]
		if result.quote == 0 && strings.IndexByte(" \t;#", ch) >= 0 && (ch != '#' || start < 0) {
			endWord()
			if ch == ';' {
				result.commands = append(result.commands, nil)
			}
			if ch == '#' {
				return result
			}
			continue
		}
		if start < 0 {
			start = i
			quoted = ch == '"' || ch == '\''
		}
		switch {
		case ch == result.quote:
			result.quote = 0
		case result.quote == 0 && (ch == '"' || ch == '\''):
			result.quote = ch
		case ch == '\\' && result.quote == '\'':
			word.WriteString(`\\`)
		case ch == '\\' && i+1 < len(line):
			word.WriteString(line[i : i+2])
			i++
		default:
			word.WriteByte(ch)
		}
	}
	result.openWord = start >= 0
	endWord()
	return result
}

// plainText writes a word so that it stands for its text and nothing else.
func plainText(word string) string {
	switch {
	case strings.HasPrefix(word, "0x"):
		return `\x30` + word[1:]
	case strings.HasPrefix(word, "@"), strings.HasPrefix(word, "-"):
		return `\` + word
	default:
		return word
	}
}

// shellCommands are the commands of a line, each as its arguments.
func shellCommands(line string) ([][]string, error) {
	parsed := parseShellLine(line)
	if parsed.quote != 0 {
		return nil, errors.New("a quotation mark is missing at the end")
	}
	var commands [][]string
	for _, words := range parsed.commands {
		if len(words) == 0 {
			continue
		}
		args := make([]string, len(words))
		for i, word := range words {
			args[i] = word.text
		}
		commands = append(commands, args)
	}
	return commands, nil
}
