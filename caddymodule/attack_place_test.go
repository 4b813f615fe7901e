package caddymodule_test

import (
	"net/url"
	"strings"
)

// twoPlaces are requests with two different tokens where the token may be in the header,
// the cookie session and the query parameter access_token, or with one that the upstream
// may read and we do not.
func (f *forge) twoPlaces() []attack {
	raw, other := f.genuine("HS256"), f.claims("jti", `"other"`, "sub", `"43"`)
	header := func(raw string) string { return bearer(raw) + "\r\n" }
	cookie := func(value string) string { return "Cookie: " + value + "\r\n" }
	encoded := url.QueryEscape(strings.ReplaceAll(other, ".", "%2e"))
	var rows []attack
	for order, pair := range map[string][2]string{"": {raw, other}, ", the other way round": {other, raw}} {
		a, b := pair[0], pair[1]
		for name, row := range map[string]attack{
			"header and cookie":            {lines: header(a) + cookie("session="+b)},
			"cookie before the header":     {lines: cookie("session="+a) + header(b)},
			"header and query":             {lines: header(a), query: "?access_token=" + b},
			"cookie and query":             {lines: cookie("session=" + a), query: "?access_token=" + b},
			"two cookies":                  {lines: cookie("session=" + a + "; session=" + b)},
			"two cookie fields":            {lines: cookie("session="+a) + cookie("session="+b)},
			"cookie in capitals":           {lines: cookie("session=" + a + "; SESSION=" + b)},
			"cookie with a space":          {lines: cookie("session=" + a + "; session =" + b)},
			"cookie in quotes":             {lines: cookie("session=" + a + `; session="` + b + `"`)},
			"cookie behind a comma":        {lines: cookie("session=" + a + ", session=" + b)},
			"cookie with an escaped name":  {lines: cookie("session=" + a + "; %73ession=" + b)},
			"cookie without space between": {lines: cookie("session=" + a + ";session=" + b)},
			"cookie behind a space":        {lines: cookie("session=" + a + "; x=1 session=" + b)},
			"cookie behind a tab":          {lines: cookie("session=" + a + "; x=1\tsession=" + b)},
			"cookie without a name":        {lines: cookie("session=" + a + "; =session=" + b)},
			"cookie in an array":           {lines: cookie("session=" + a + "; session[0]=" + b)},
			"two parameters":               {query: "?access_token=" + a + "&access_token=" + b},
			"parameter in capitals":        {query: "?access_token=" + a + "&ACCESS_TOKEN=" + b},
			"parameter with a dot":         {query: "?access_token=" + a + "&access.token=" + b},
			"parameter in brackets":        {query: "?access_token=" + a + "&[access_token]=" + b},
			"parameter with a NUL behind":  {query: "?access_token=" + a + "&access_token%00=" + b},
			"parameter with an escape":     {query: "?access_token=" + a + "&access%5ftoken=" + b},
			"parameter in an array":        {query: "?access_token=" + a + "&access_token[]=" + b},
			"parameter behind a semicolon": {query: "?access_token=" + a + ";access_token=" + b},
			"parameter with a space":       {query: "?access_token=" + a + "&+access_token=" + b},
			"all three places":             {lines: header(a) + cookie("session="+a), query: "?access_token=" + b},
		} {
			row.name = name + order
			rows = append(rows, row)
		}
	}
	return append(rows,
		attack{name: "Basic and a cookie", lines: "Authorization: Basic YTpi\r\n" + cookie("session="+raw)},
		attack{name: "a tab in the header, and a cookie", lines: "Authorization: Bearer\t" + other + "\r\n" + cookie("session="+raw)},
		attack{name: "only the scheme, and a parameter", lines: "Authorization: Bearer\r\n", query: "?access_token=" + raw},
		attack{name: "two fields and a cookie", lines: header(raw) + header(other) + cookie("session="+raw)},
		attack{name: "an unreadable query", lines: header(raw), query: "?access_token=%zz"},
		attack{name: "cookie with escaped dots", lines: cookie("session=" + strings.ReplaceAll(raw, ".", "%2e"))},
		attack{name: "cookie with the scheme", lines: cookie("session=Bearer " + raw)},
		attack{name: "parameter with the scheme", query: "?access_token=Bearer+" + raw},
		attack{name: "parameter that is encoded twice", query: "?access_token=" + encoded},
		attack{name: "parameter with a NUL", query: "?access_token=" + raw + "%00"},
		attack{name: "parameter that begins with a space", query: "?access_token=+" + raw},
		attack{name: "parameter with two tokens", query: "?access_token=" + raw + "," + other},
		attack{name: "empty parameter", query: "?access_token=", want: bodyMissing},
		attack{name: "empty cookie", lines: cookie("session="), want: bodyMissing},
		attack{name: "a longer name", lines: cookie("session_id=" + raw), query: "?access_token_x=" + raw, want: bodyMissing},
		attack{name: "a fragment", query: "?a=b#access_token=" + raw, want: bodyMissing},
	)
}

// refusedByTheServer are requests that no handler sees: net/http does not read them.
func (f *forge) refusedByTheServer() []attack {
	raw := f.genuine("HS256")
	rows := make([]attack, 0, 16)
	for name, line := range map[string]string{
		"CR":           "Authorization: Bearer " + raw[:5] + "\r" + raw[5:],
		"LF":           "Authorization: Bearer " + raw[:5] + "\n" + raw[5:],
		"CR LF":        "Authorization: Bearer " + raw[:5] + "\r\n" + raw[5:],
		"NUL":          "Authorization: Bearer " + raw + "\x00",
		"DEL":          "Authorization: Bearer \x7f" + raw,
		"backspace":    "Authorization: Bearer x\b" + raw,
		"vertical tab": "Authorization: Bearer\v" + raw,
		"no colon":     "Authorization Bearer " + raw,
		"no name":      ": Bearer " + raw,
	} {
		rows = append(rows, attack{name: name, lines: line + "\r\n", status: 400, want: "400 Bad Request"})
	}
	huge := f.ofLength(1 << 20)
	return append(rows,
		attack{name: "space before the colon", lines: "Authorization : Bearer " + raw + "\r\n", status: 400, want: "400 Bad Request: invalid header name"},
		attack{name: "a token of a megabyte", lines: bearer(huge) + "\r\n", status: 431, want: "431 Request Header Fields Too Large"},
		attack{name: "a parameter of a megabyte", query: "?access_token=" + huge, status: 431, want: "431 Request Header Fields Too Large"},
	)
}
