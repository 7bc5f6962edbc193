package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
)

// newShellCommands are the commands that can be typed in the shell.
func newShellCommands(s *session) *cobra.Command {
	root := &cobra.Command{
		Use:           "kvcli",
		Short:         "Commands of the shell",
		SilenceErrors: true,
		SilenceUsage:  true,
		Args: func(_ *cobra.Command, args []string) error {
			return fmt.Errorf("there is no command %s; 'help' lists them", args[0])
		},
		RunE: func(*cobra.Command, []string) error { return nil },
	}
	root.CompletionOptions.DisableDefaultCmd = true
	root.SetUsageTemplate(shellUsage)
	root.SetOut(s.c.out)
	root.SetErr(s.c.out)
	root.AddCommand(
		s.cdCommand(), s.pwdCommand(), s.lsCommand(), s.getCommand(), s.putCommand(), s.delCommand(),
		s.scanCommand(), s.countCommand(), s.rankCommand(), s.atCommand(),
		s.seekCommand(), s.stepCommand("next", "Print the pair after the last one shown", s.next),
		s.stepCommand("prev", "Print the pair before the last one shown", s.prev),
		s.mkdirCommand(), s.dropCommand(), s.renameCommand(), s.sequenceCommand(),
		s.beginCommand(), s.commitCommand(), s.rollbackCommand(), s.savepointCommand(), s.releaseCommand(),
		s.checkCommand(), s.formatCommand(), s.timingCommand(), s.exitCommand(),
	)
	return root
}

const shellUsage = `usage: {{.Use}}
{{- if .HasAvailableSubCommands}}
{{range .Commands}}{{if .IsAvailableCommand}}
  {{rpad .Name .NamePadding}} {{.Short}}{{end}}{{end}}
{{- end}}
{{- if .HasAvailableLocalFlags}}

{{.LocalFlags.FlagUsages | trimTrailingWhitespaces}}
{{- end}}
`

// shellArgs is argCount for the shell.
func shellArgs(least, most int) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) >= least && (most < 0 || len(args) <= most) {
			return nil
		}
		return fmt.Errorf("usage: %s", cmd.Use)
	}
}

func (s *session) checkCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "check",
		Short: "Verify every page and invariant of the store",
		Args:  shellArgs(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			findings, _, err := s.c.check(cmd.Context(), s.db, s.style.json)
			if err == nil && findings > 0 {
				err = negativef("%d findings", findings)
			}
			return err
		},
	}
}

func (s *session) formatCommand() *cobra.Command {
	return &cobra.Command{
		Use:       ".format [auto|" + strings.Join(formatNames, "|") + "|lines]",
		Short:     "Show or choose how values are printed; lines is a JSON object a line",
		Args:      shellArgs(0, 1),
		ValidArgs: append([]string{"auto", "lines"}, formatNames...),
		RunE: func(_ *cobra.Command, args []string) error {
			switch {
			case len(args) == 0 && s.style.json:
				fmt.Fprintln(s.c.out, "lines")
			case len(args) == 0 && s.style.as == formatAuto:
				fmt.Fprintln(s.c.out, "auto")
			case len(args) == 0:
				fmt.Fprintln(s.c.out, s.style.as)
			case args[0] == "auto":
				s.style = pairStyle{}
			case args[0] == "lines":
				s.style = pairStyle{json: true}
			default:
				var as format
				if err := as.Set(args[0]); err != nil {
					return fmt.Errorf("there is no format %s: %w, auto, lines", args[0], err)
				}
				s.style = pairStyle{as: as}
			}
			return nil
		},
	}
}

func (s *session) timingCommand() *cobra.Command {
	return &cobra.Command{
		Use:       ".timing on|off",
		Short:     "Print how long each command takes",
		Args:      shellArgs(1, 1),
		ValidArgs: []string{"on", "off"},
		RunE: func(_ *cobra.Command, args []string) error {
			if args[0] != "on" && args[0] != "off" {
				return errors.New("usage: .timing on|off")
			}
			s.timing = args[0] == "on"
			return nil
		},
	}
}

func (s *session) exitCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "exit",
		Aliases: []string{"quit", ".exit", ".quit"},
		Short:   "Leave the shell",
		Args:    shellArgs(0, 0),
		RunE: func(*cobra.Command, []string) error {
			s.done = true
			return nil
		},
	}
}
