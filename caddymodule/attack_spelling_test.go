package caddymodule_test

import "strings"

// asIs changes nothing.
func asIs(segment string) string { return segment }

// respelled returns a token with its header (0), payload (1) or signature (2) changed in
// its spelling. What the signature covers is signed as it is spelled, so that nothing
// else is wrong. Every segment has unused bits.
func (f *forge) respelled(segment int, change func(string) string) string {
	parts := []string{encode(leaving(1, `{"alg":"HS256"}`)), encode(leaving(1, f.payload()))}
	if segment < 2 {
		parts[segment] = change(parts[segment])
	}
	input := parts[0] + "." + parts[1]
	signature := encode(f.hmac()(input))
	if segment == 2 {
		signature = change(signature)
	}
	return input + "." + signature
}

// insert returns a change that puts text into a segment: at its start, in its middle or
// at its end.
func insert(text string, at int) func(string) string {
	return func(segment string) string {
		cut := len(segment) * at / 2
		return segment[:cut] + text + segment[cut:]
	}
}

// respelledEach applies one change to each segment.
func (f *forge) respelledEach(what string, change func(string) string) []attack {
	var rows []attack
	for i, name := range []string{"header", "payload", "signature"} {
		rows = append(rows, attack{name: what + ", " + name, token: f.respelled(i, change)})
	}
	return rows
}

// spellings are genuine tokens whose base64 only a lax decoder reads.
func (f *forge) spellings() []attack {
	var rows []attack
	for what, change := range map[string]func(string) string{
		"unused bits":           func(s string) string { return respellings(s)[0] },
		"all unused bits":       func(s string) string { r := respellings(s); return r[len(r)-1] },
		"padding":               func(s string) string { return s + strings.Repeat("=", (4-len(s)%4)%4) },
		"one padding character": func(s string) string { return s + "=" },
		"padding in the middle": insert("=", 1),
		"a character too many":  func(s string) string { return s + strings.Repeat("A", (5-len(s)%4)%4) },
		"plus":                  func(s string) string { return s[:4] + "+" + s[5:] },
		"slash":                 func(s string) string { return s[:4] + "/" + s[5:] },
		"comma":                 insert(",", 1),
		"space":                 insert(" ", 1),
		"tab":                   insert("\t", 1),
		"percent":               insert("%0A", 1),
		"no ASCII":              insert("é", 1),
		"full-width letter":     insert("Ａ", 1),
		"zero-width space":      insert("\u200b", 1),
		"byte order mark":       insert("\ufeff", 0),
		"byte 0xFF":             insert("\xff", 1),
	} {
		rows = append(rows, f.respelledEach(what, change)...)
	}
	return rows
}

// lineBreaks are those that cannot be sent in a header: the server would refuse them.
func (f *forge) lineBreaks() []attack {
	var rows []attack
	for what, text := range map[string]string{"CR": "\r", "LF": "\n", "CR LF": "\r\n", "NUL": "\x00", "space": " ", "tab": "\t"} {
		for at, where := range []string{"at the start", "in the middle", "at the end"} {
			rows = append(rows, f.respelledEach(what+" "+where+" of a segment", insert(text, at))...)
		}
	}
	return rows
}

// respellings returns all texts that a lax decoder reads as segment, because they
// differ in the unused bits of the last character alone.
func respellings(segment string) []string {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	unused := map[int]int{2: 16, 3: 4}[len(segment)%4]
	var others []string
	last := strings.IndexByte(alphabet, segment[len(segment)-1])
	for i := 1; i < unused; i++ {
		others = append(others, segment[:len(segment)-1]+alphabet[last+i:last+i+1])
	}
	return others
}
