package caddymodule_test

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// runCurl makes the calls with curl, one process each.
func runCurl(t *testing.T, base string, with ecgridCredential) []answer {
	t.Helper()
	curl := needProgram(t, "curl")
	credential := "X-API-Key: " + with.key
	if with.token != "" {
		credential = "Authorization: Bearer " + with.token
	}
	var answers []answer
	call := func(path string, args ...string) {
		args = append([]string{"-q", "-sS", "--noproxy", "*", "-i", "--raw", base + path, "-H", credential}, args...)
		resp, err := http.ReadResponse(bufio.NewReader(bytes.NewReader(output(t, nil, curl, args...))), nil)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		answers = append(answers, answer{resp.StatusCode, resp.Header, string(body)})
	}
	mailboxes := func(args ...string) { call("/v2/mailboxes", args...) }
	logout := func(args ...string) {
		const body = `{ "success": true, "data": null, "errorCode": "", "message": "Session terminated." }`
		call("/v2/auth/logout", append([]string{"-X", "POST", "-H", "Content-Type: application/json", "-d", body}, args...)...)
	}
	if with.token != "" {
		logout()
		mailboxes()
		return answers
	}
	jar := filepath.Join(t.TempDir(), "cookies")
	session, after := []string{"-b", jar, "-c", jar}, []string{"-b", jar, "-c", jar}
	mailboxes(session...)
	if !with.cookies {
		session, after = []string{"-H", "X-Session-ID: " + answers[0].header.Get("X-Session-ID")}, nil
	}
	mailboxes(session...)
	logout(session...)
	mailboxes(session...)
	mailboxes(after...)
	logout()
	mailboxes()
	return answers
}

func runJava(t *testing.T, base string, with ecgridCredential) []answer {
	t.Helper()
	needProgram(t, "javac") // without it, java does not run a source file
	return runProgram(t, base, with, needProgram(t, "java"), "-XX:TieredStopAtLevel=1", "testdata/ecgrid/LogoutClient.java")
}

func runNode(t *testing.T, base string, with ecgridCredential) []answer {
	t.Helper()
	return runProgram(t, base, with, needProgram(t, "node"), "testdata/ecgrid/logout.mjs")
}

func runPython(t *testing.T, base string, with ecgridCredential) []answer {
	t.Helper()
	// Debian's first: where its package of requests is, another python3 may be in front.
	for _, python := range []string{"/usr/bin/python3", needProgram(t, "python3")} {
		if exec.CommandContext(t.Context(), python, "-c", "import requests").Run() == nil {
			return runProgram(t, base, with, python, "testdata/ecgrid/logout.py")
		}
	}
	missing(t, "requests, of Python")
	return nil
}

// runProgram runs one of the programs in testdata/ecgrid.
func runProgram(t *testing.T, base string, with ecgridCredential, name string, args ...string) []answer {
	t.Helper()
	env := []string{"ECGRID_URL=" + base}
	if with.token != "" {
		env = append(env, "ECGRID_TOKEN="+with.token)
	} else {
		env = append(env, "ECGRID_API_KEY="+with.key)
	}
	if with.cookies {
		env = append(env, "ECGRID_COOKIES=1")
	}
	var answers []answer
	for line := range strings.Lines(string(output(t, env, name, args...))) {
		fields := strings.SplitN(strings.TrimSpace(line), "\t", 3)
		status, err := strconv.Atoi(fields[0])
		if err != nil || len(fields) != 3 {
			t.Fatalf("%s prints %q", name, line)
		}
		header := make(http.Header)
		if fields[1] != "" {
			header.Set("X-Session-ID", fields[1])
		}
		answers = append(answers, answer{status, header, fields[2]})
	}
	return answers
}

// programTimeout is far more than any of the programs takes.
const programTimeout = time.Minute

// output runs a program, without a proxy in front of the site, and returns what it prints.
func output(t *testing.T, env []string, name string, args ...string) []byte {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), programTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Env = append(append(os.Environ(), "NO_PROXY=*", "no_proxy=*"), env...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s: %v\n%s%s", name, err, out, stderr.Bytes())
	}
	return out
}

// needProgram returns where a program is.
func needProgram(t *testing.T, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		missing(t, name)
	}
	return path
}

// missing skips a test, or fails it with CI=true.
func missing(t *testing.T, what string) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatalf("%s is missing", what)
	}
	t.Skipf("%s is not installed", what)
}
