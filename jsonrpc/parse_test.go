package jsonrpc

import (
	"errors"
	"fmt"
	"strings"
	"testing"
)

func TestOneMessageIsRead(t *testing.T) {
	for _, tc := range []struct {
		name, text string
		kind       Kind
		method, id string
	}{
		{"request", `{"jsonrpc":"2.0","id":42,"method":"private/logout","params":{}}`, Request, "private/logout", "42"},
		{"string id", `{"id":"a\u0062","method":"m"}`, Request, "m", `"a\u0062"`},
		{"no version", `{"id":1,"method":"m"}`, Request, "m", "1"},
		{"no params", `{"jsonrpc":"2.0","id":1,"method":"m"}`, Request, "m", "1"},
		{"params null", `{"jsonrpc":"2.0","id":1,"method":"m","params":null}`, Request, "m", "1"},
		{"params by position", `{"jsonrpc":"2.0","id":1,"method":"m","params":[1]}`, Request, "m", "1"},
		{"no id", `{"jsonrpc":"2.0","method":"m"}`, Notification, "m", ""},
		{"id null", `{"jsonrpc":"2.0","id":null,"method":"m"}`, Notification, "m", "null"},
		{"escapes", `{"id":1,"\u006dethod":"private\u002flogout"}`, Request, "private/logout", "1"},
		{"white space", " \r\n\t{\"id\": 1 , \"method\" : \"m\"}\n\n ", Request, "m", "1"},
		{"unknown member", `{"id":1,"method":"m","usIn":5}`, Request, "m", "1"},
		{"no error", `{"id":1,"method":"m","error":null}`, Request, "m", "1"},
		{"result", `{"jsonrpc":"2.0","id":1,"result":{"a":1},"usIn":5}`, Response, "", "1"},
		{"result null", `{"jsonrpc":"2.0","id":1,"result":null}`, Response, "", "1"},
		{"result, no error", `{"jsonrpc":"2.0","id":1,"result":"ok","error":null}`, Response, "", "1"},
		{"error", `{"jsonrpc":"2.0","id":1,"error":{"code":1,"message":"x"}}`, Response, "", "1"},
		{"error, result null", `{"id":1,"result":null,"error":{"code":1}}`, Response, "", "1"},
		{"error of nothing known", `{"jsonrpc":"2.0","id":null,"error":{"code":-32700}}`, Response, "", "null"},
		{"deep enough", `{"id":1,"method":"m","params":` + strings.Repeat("[", MaxDepth-1) + strings.Repeat("]", MaxDepth-1) + `}`, Request, "m", "1"},
		{"brackets in strings", `{"id":1,"method":"m","params":["\"` + strings.Repeat("[", 100) + `\\"]}`, Request, "m", "1"},
		{"longest id", `{"id":"` + strings.Repeat("a", MaxID-2) + `","method":"m"}`, Request, "m", `"` + strings.Repeat("a", MaxID-2) + `"`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			p, err := Parse([]byte(tc.text))
			if err != nil {
				t.Fatal(err)
			}
			if p.Batch || len(p.Messages) != 1 {
				t.Fatalf("batch %v, %d messages", p.Batch, len(p.Messages))
			}
			m := p.Messages[0]
			if m.Kind != tc.kind || m.Method != tc.method || string(m.ID) != tc.id {
				t.Errorf("got %v, method %q, id %q", m, m.Method, m.ID)
			}
			if got, want := string(m.raw), strings.TrimSpace(tc.text); got != want {
				t.Errorf("raw %q", got)
			}
		})
	}
}

func TestUnreadableMessagesAreRefused(t *testing.T) {
	for _, tc := range []struct {
		name, text string
		want       error
		id         string
	}{
		{"nothing", "", ErrParse, ""},
		{"white space", "\n", ErrParse, ""},
		{"no JSON", `{"id":1,"method":`, ErrParse, ""},
		{"byte order mark", "\xef\xbb\xbf" + `{"id":1,"method":"m"}`, ErrParse, ""},
		{"two values", `{"id":1,"method":"m"}{"id":2,"method":"m"}`, ErrParse, ""},
		{"two lines", `{"id":1,"method":"m"}` + "\n" + `{"id":2,"method":"m"}`, ErrParse, ""},
		{"text behind", `{"id":1,"method":"m"}x`, ErrParse, ""},
		{"NUL behind", `{"id":1,"method":"m"}` + "\x00", ErrParse, ""},
		{"comment", `{"id":1,/**/"method":"m"}`, ErrParse, ""},
		{"trailing comma", `{"id":1,"method":"m",}`, ErrParse, ""},
		{"single quotes", `{'id':1,'method':'m'}`, ErrParse, ""},
		{"NaN", `{"id":NaN,"method":"m"}`, ErrParse, ""},
		{"UTF-16", "{\x00\"\x00}\x00", ErrParse, ""},
		{"invalid UTF-8", `{"id":1,"method":"m` + "\xff" + `"}`, ErrParse, ""},
		{"half a surrogate pair", `{"id":1,"method":"m\ud800"}`, ErrParse, ""},
		{"method twice", `{"id":1,"method":"a","method":"b"}`, ErrParse, ""},
		{"method twice, escaped", `{"id":1,"method":"a","\u006dethod":"b"}`, ErrParse, ""},
		{"parameter twice", `{"id":1,"method":"m","params":{"access_token":"a","access_token":"b"}}`, ErrParse, ""},
		{"name twice, deep", `{"id":1,"method":"m","params":{"x":[{"a":1,"a":2}]}}`, ErrParse, ""},
		{"invalid and malformed", `{"id":1,"method":5,`, ErrParse, ""},
		{"too deep", strings.Repeat("[", MaxDepth+1) + strings.Repeat("]", MaxDepth+1), ErrParse, ""},
		{"deep and open", strings.Repeat(`{"a":`, 1e6), ErrParse, ""},

		{"number", `5`, ErrInvalidRequest, ""},
		{"string", `"m"`, ErrInvalidRequest, ""},
		{"null", `null`, ErrInvalidRequest, ""},
		{"empty object", `{}`, ErrInvalidRequest, ""},
		{"no method", `{"id":7}`, ErrInvalidRequest, "7"},
		{"method null", `{"id":7,"method":null}`, ErrInvalidRequest, "7"},
		{"method number", `{"method":7,"id":"x"}`, ErrInvalidRequest, `"x"`},
		{"method array", `{"id":7,"method":["public/test"]}`, ErrInvalidRequest, "7"},
		{"id object", `{"id":{"a":1},"method":"m"}`, ErrInvalidRequest, ""},
		{"id array", `{"id":[1],"method":"m"}`, ErrInvalidRequest, ""},
		{"id true", `{"id":true,"method":"m"}`, ErrInvalidRequest, ""},
		{"id too long", `{"id":"` + strings.Repeat("a", MaxID-1) + `","method":"m"}`, ErrInvalidRequest, ""},
		{"huge number id", `{"id":1` + strings.Repeat("0", MaxID) + `,"method":"m"}`, ErrInvalidRequest, ""},
		{"params string", `{"id":7,"method":"m","params":"x"}`, ErrInvalidRequest, "7"},
		{"params number", `{"id":7,"method":"m","params":1}`, ErrInvalidRequest, "7"},
		{"version 1.1", `{"jsonrpc":"1.1","id":7,"method":"m"}`, ErrInvalidRequest, "7"},
		{"version number", `{"jsonrpc":2.0,"id":7,"method":"m"}`, ErrInvalidRequest, "7"},
		{"version null", `{"jsonrpc":null,"id":7,"method":"m"}`, ErrInvalidRequest, "7"},
		{"call and result", `{"id":7,"method":"m","result":{}}`, ErrInvalidRequest, "7"},
		{"call and result null", `{"id":7,"method":"m","result":null}`, ErrInvalidRequest, "7"},
		{"call and error", `{"id":7,"method":"m","error":{}}`, ErrInvalidRequest, "7"},
		{"result and error", `{"id":7,"result":1,"error":{}}`, ErrInvalidRequest, "7"},
		{"error string", `{"id":7,"error":"x"}`, ErrInvalidRequest, "7"},
		{"no error alone", `{"id":7,"error":null}`, ErrInvalidRequest, "7"},

		{"empty batch", `[]`, ErrInvalidRequest, ""},
		{"batch of numbers", `[1,2]`, ErrInvalidRequest, ""},
		{"batch in a batch", `[[{"id":1,"method":"m"}]]`, ErrInvalidRequest, ""},
		{"batch with an invalid call", `[{"id":1,"method":"m"},{"id":2}]`, ErrInvalidRequest, ""},
		{"batch, malformed behind", `[{"id":1,"method":"m"},{"id":2},]`, ErrParse, ""},
		{"batch too large", batch(MaxBatch + 1), ErrInvalidRequest, ""},
		{"batch far too large", batch(10_000), ErrInvalidRequest, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			p, err := Parse([]byte(tc.text))
			checkParseError(t, p, err, tc.want, tc.id)
		})
	}
}

func checkParseError(t *testing.T, p Payload, err, want error, id string) {
	t.Helper()
	if p.Messages != nil || !errors.Is(err, want) {
		t.Fatalf("%d messages, error %v, want %v", len(p.Messages), err, want)
	}
	e, ok := errors.AsType[*Error](err)
	if !ok {
		t.Fatalf("error of type %T", err)
	}
	if string(e.ID) != id {
		t.Errorf("id %q, want %q", e.ID, id)
	}
}

func batch(n int) string {
	calls := make([]string, n)
	for i := range calls {
		calls[i] = fmt.Sprintf(`{"id":%d,"method":"public/test"}`, i)
	}
	return "[" + strings.Join(calls, ",") + "]"
}

func TestBatchIsRead(t *testing.T) {
	p, err := Parse([]byte(" [ {\"id\":1,\"method\":\"a\"} , {\"method\":\"b\"},{\"id\":3,\"result\":1} ]\n"))
	if err != nil || !p.Batch || len(p.Messages) != 3 {
		t.Fatalf("%v, %v", p, err)
	}
	for i, want := range []struct {
		kind Kind
		raw  string
	}{{Request, `{"id":1,"method":"a"}`}, {Notification, `{"method":"b"}`}, {Response, `{"id":3,"result":1}`}} {
		if m := p.Messages[i]; m.Kind != want.kind || string(m.raw) != want.raw {
			t.Errorf("%d: %v, %s", i, m, m.raw)
		}
	}
	if p, err := Parse([]byte(batch(MaxBatch))); err != nil || len(p.Messages) != MaxBatch {
		t.Errorf("largest batch: %v", err)
	}
}

func TestLookAlikesOfNamesThatCountAreRefused(t *testing.T) {
	for _, name := range []string{
		"Method", "METHOD", "method ", " method", "method\\u0000", "meth-od", "method_", "\\u004dethod",
		"ID", "i.d", "Params", "PARAMS", "param\\u017f", "JSONRPC", "json-rpc", "Result", "Error",
	} {
		p, err := Parse([]byte(`{"id":7,"method":"public/test","` + name + `":"private/logout"}`))
		if err == nil {
			t.Errorf("%s is accepted", name)
			continue
		}
		checkParseError(t, p, err, ErrInvalidRequest, "7")
	}
	for _, name := range []string{
		"Access_Token", "ACCESS_TOKEN", "access_token ", "access-token", "accessToken", "acce\\u017fs_token", "acces\\u017f_to\\u212aen",
		"refreshToken", "Grant_Type", "invalidateToken", "invalidate_token\\u200b", "Scope", "Interval",
	} {
		p, err := Parse([]byte(`{"id":7,"method":"private/buy","params":{"` + name + `":"x"}}`))
		if err == nil {
			t.Errorf("parameter %s is accepted", name)
			continue
		}
		checkParseError(t, p, err, ErrInvalidRequest, "7")
	}
	// What cannot be taken for one of them is not our business.
	if _, err := Parse([]byte(`{"id":7,"method":"m","methods":1,"Sig":1,"params":{"Amount":1,"amount":2,"token":3}}`)); err != nil {
		t.Error(err)
	}
}

func TestParametersAndResultsAreFoundByExactName(t *testing.T) {
	p, err := Parse([]byte(`{"id":1,"method":"m","params":{"\u0061ccess_token":"a\u002fb","n":[1, 2],"o":{"access_token":"no"}}}`))
	if err != nil {
		t.Fatal(err)
	}
	m := p.Messages[0]
	if text, ok := m.stringParam("access_token"); !ok || text != "a/b" {
		t.Errorf("access_token %q", text)
	}
	if value, ok := m.Param("n"); !ok || string(value) != "[1, 2]" {
		t.Errorf("n %s", value)
	}
	if value, ok := m.Param("absent"); ok || value != nil {
		t.Errorf("absent %s", value)
	}
	if _, ok := m.stringParam("n"); ok {
		t.Error("an array is taken for a string")
	}
	p, err = Parse([]byte(`{"id":1,"result":{"access_token":"a","expires_in":5}}`))
	if err != nil {
		t.Fatal(err)
	}
	if got := p.Messages[0].stringResult("access_token"); got != "a" {
		t.Errorf("result %q", got)
	}
	if value, _ := p.Messages[0].ResultMember("expires_in"); string(value) != "5" {
		t.Errorf("expires_in %s", value)
	}
}

func TestIDsThatMayComeBackForOneAnotherAreTheSame(t *testing.T) {
	for _, same := range [][2]string{
		{"1", "1.0"},
		{"1", "1e0"},
		{"100", "1E2"},
		{"0", "-0"},
		{"-0.0", "0"},
		{`"a/b"`, `"a\u002fb"`},
		{`"a/b"`, `"a\/b"`},
		{"1.5", "15e-1"},
		{"9007199254740993", "9007199254740993"},
	} {
		if keyOf([]byte(same[0])) != keyOf([]byte(same[1])) {
			t.Errorf("%s and %s differ", same[0], same[1])
		}
	}
	for _, different := range [][2]string{
		{"1", `"1"`}, {"1", "2"}, {"1", "-1"}, {"9007199254740993", "9007199254740992"}, {`"a"`, `"A"`}, {"1e999", "1e998"},
	} {
		if keyOf([]byte(different[0])) == keyOf([]byte(different[1])) {
			t.Errorf("%s and %s are the same", different[0], different[1])
		}
	}
}

func TestWhichMethodsArePublic(t *testing.T) {
	for method, want := range map[string]struct{ known, public bool }{
		"public/test":               {true, true},
		"public/get_order_book":     {true, true},
		"private/buy":               {true, false},
		"private/logout":            {true, false},
		"subscribe":                 {true, false},
		"public":                    {true, false},
		"Public/get_time":           {true, false},
		"public/a/b":                {true, false},
		"public/a.b":                {true, false},
		"user.getProfile":           {true, false},
		"rpc.discover":              {true, false},
		"public/":                   {false, false},
		"":                          {false, false},
		"/":                         {false, false},
		"/public/test":              {false, false},
		"/private/buy":              {false, false},
		"public//test":              {false, false},
		"public/../private/buy":     {false, false},
		"public/./get_time":         {false, false},
		"private/buy/":              {false, false},
		"private/buy ":              {false, false},
		"private%2Fbuy":             {false, false},
		"private\\buy":              {false, false},
		"private/buy\x00":           {false, false},
		"public/get_time?x":         {false, false},
		"public/get_time#x":         {false, false},
		"public/get_time\nx":        {false, false},
		"private/büy":               {false, false},
		"Private/Logout":            {false, false},
		"PRIVATE/LOGOUT":            {false, false},
		"private.logout":            {false, false},
		"private_logout":            {false, false},
		"private/log_out":           {false, false},
		"public/Auth":               {false, false},
		"publicAuth":                {false, false},
		"public/exchangeToken":      {false, false},
		"public/fork_to\u212aen":    {false, false},
		strings.Repeat("a", 129):    {false, false},
		strings.Repeat("a", 128):    {true, false},
		"public/set_heartbeat":      {true, true},
		"private/get_user_trades":   {true, false},
		"private/cancel_all":        {true, false},
		"private/subscribe":         {true, false},
		"public/unsubscribe_all":    {true, true},
		"private/verify_block":      {true, false},
		"PUBLIC/get_time":           {true, false},
		"public/getTime":            {true, true},
		"public/get_time/private":   {true, false},
		"public/get_time:private":   {true, false},
		"public/get_time-private":   {true, false},
		"public/get_time/../../buy": {false, false},
	} {
		if known := knownForm(method); known != want.known {
			t.Errorf("%q: known form %v", method, known)
		} else if known && isPublic(method) != want.public {
			t.Errorf("%q: public %v", method, !want.public)
		}
	}
}
