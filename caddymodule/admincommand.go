package caddymodule

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"regexp"
	"strconv"

	"github.com/caddyserver/caddy/v2"
	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/spf13/cobra"
)

// Exit codes of the commands that ask an instance, beside 0 for what was done and 1 for
// what could not be asked. Caddy itself uses 2 and 3.
const (
	exitNoInstance = 4 // nobody answers at the admin address
	exitRefused    = 5 // the instance will not do it
	exitNotNow     = 6 // the instance cannot do it at present
	exitNotAllowed = 7 // explain: no site would let the credential through
)

// commandError is an error with an exit code.
type commandError struct {
	code int
	error
}

func (e commandError) Unwrap() error { return e.error }

// adminCommand returns a command that asks a running instance.
func adminCommand(use, short, long string, run func(caddycmd.Flags) error) *cobra.Command {
	cmd := &cobra.Command{
		Use: use, Short: short, Long: long, Args: noArguments,
		RunE: caddycmd.WrapCommandFuncForCobra(func(f caddycmd.Flags) (int, error) {
			err := run(f)
			if failed, ok := errors.AsType[commandError](err); ok {
				return failed.code, err
			}
			return exitCode(err)
		}),
	}
	cmd.Flags().StringP("address", "", "", "Address of the admin endpoint (default: that of --config, or Caddy's own)")
	cmd.Flags().StringP("config", "c", "", "Configuration that names the admin endpoint")
	cmd.Flags().StringP("adapter", "a", "", "Name of the config adapter to apply")
	cmd.Flags().Bool("json", false, "Print the answer as JSON")
	return cmd
}

// noArguments is cobra.NoArgs, but it does not repeat what may be a token.
func noArguments(_ *cobra.Command, args []string) error {
	if len(args) > 0 {
		return errors.New("there is an argument without a flag; tokens are read from files or the standard input")
	}
	return nil
}

// adminAddress is where the instance has its admin endpoint.
func adminAddress(f caddycmd.Flags) (string, error) {
	name, address := f.String("config"), f.String("address")
	if name == "" || address != "" {
		return caddycmd.DetermineAdminAPIAddress(address, nil, "", "")
	}
	config, _, _, err := caddycmd.LoadConfig(name, f.String("adapter"))
	if err != nil {
		return "", err
	}
	var parsed struct {
		Admin caddy.AdminConfig `json:"admin"`
	}
	if err := json.Unmarshal(config, &parsed); err != nil {
		return "", fmt.Errorf("read the configuration: %w", err)
	}
	if parsed.Admin.Disabled {
		return "", errors.New("the configuration turns the admin endpoint off: an instance that runs with it cannot be asked")
	}
	return caddycmd.DetermineAdminAPIAddress("", config, name, f.String("adapter"))
}

// askAdmin sends a request to a running instance. The caller closes the body.
func askAdmin(f caddycmd.Flags, path string, request any) (io.ReadCloser, error) {
	address, err := adminAddress(f)
	if err != nil {
		return nil, err
	}
	body, err := json.Marshal(request)
	if err != nil {
		return nil, err
	}
	resp, err := caddycmd.AdminAPIRequest(address, http.MethodPost, "/token_auth/"+path, nil, bytes.NewReader(body))
	if err != nil {
		return nil, answeredError(address, err)
	}
	return resp.Body, nil
}

// adminStatus is how AdminAPIRequest tells of a status of 400 or more.
var adminStatus = regexp.MustCompile(`(?s)^caddy responded with error: HTTP (\d{3}): (.*)$`)

// answeredError gives an error of AdminAPIRequest its exit code.
func answeredError(address string, err error) error {
	parts := adminStatus.FindStringSubmatch(err.Error())
	if parts == nil {
		return commandError{exitNoInstance, fmt.Errorf("no instance answers at the admin address %s: %w", address, err)}
	}
	var said struct {
		Error string `json:"error"`
	}
	known := json.Unmarshal([]byte(parts[2]), &said) == nil && said.Error != ""
	switch status, _ := strconv.Atoi(parts[1]); {
	case known && status == http.StatusServiceUnavailable:
		return commandError{exitNotNow, fmt.Errorf("not at present: %s", said.Error)}
	case known:
		return commandError{exitRefused, errors.New(said.Error)}
	case status == http.StatusNotFound:
		return commandError{exitRefused, errors.New("what answers at " + address + " has no token_auth")}
	}
	return commandError{exitRefused, err}
}

const (
	// maxAnswer bounds the answers that are read whole: some KB for each site.
	maxAnswer = 16 << 20
	// stdinName is the name of the standard input, where a file can be named.
	stdinName = "-"
)

// askWhole is askAdmin for an answer that is read whole into to. With --json it is printed
// as well.
func askWhole(f caddycmd.Flags, path string, request, to any) error {
	body, err := askAdmin(f, path, request)
	if err != nil {
		return err
	}
	defer body.Close()
	text, err := io.ReadAll(io.LimitReader(body, maxAnswer))
	if err == nil {
		err = json.Unmarshal(text, to)
	}
	if err != nil {
		return fmt.Errorf("read the answer: %w", err)
	}
	if f.Bool("json") {
		_, err = os.Stdout.Write(text)
	}
	return err
}

// maxInput bounds what is read from a file that holds a token or a key.
const maxInput = 64 << 10

// readInput returns what a file holds, or the standard input, without the line break at its
// end: as Caddy's {file.*} does.
func readInput(name string) ([]byte, error) {
	from := os.Stdin
	if name != stdinName {
		file, err := os.Open(name)
		if err != nil {
			return nil, err
		}
		defer file.Close()
		from = file
	}
	text, err := io.ReadAll(io.LimitReader(from, maxInput+1))
	text = bytes.TrimSuffix(bytes.TrimSuffix(text, []byte("\n")), []byte("\r"))
	switch {
	case err != nil:
		return nil, fmt.Errorf("read %s: %w", name, err)
	case len(text) > maxInput:
		return nil, fmt.Errorf("%s: larger than %d bytes", name, maxInput)
	case len(bytes.TrimSpace(text)) == 0:
		return nil, fmt.Errorf("%s: empty", name)
	}
	return text, nil
}
