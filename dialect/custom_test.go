package dialect_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"example.com/caddy-token-auth/dialect"
)

func custom(t *testing.T, base string, rules ...dialect.Rule) *dialect.Custom {
	t.Helper()
	d, err := dialect.NewCustom(named(t, base), rules)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestCustomAnswersByItsRulesAndOtherwiseByItsBase(t *testing.T) {
	const fault = `{"fault":"{reason}","code":{status}}`
	d := custom(t, "ecgrid",
		dialect.Rule{On: "revoked_credential", Status: 440, Body: fault},
		dialect.Rule{On: "invalid_credential", Status: 498, ContentType: "text/plain; charset=utf-8", Body: "{reason} {status}"},
		dialect.Rule{On: "invalid_request", Body: fault},
		dialect.Rule{On: "not_websocket", Status: 426, Body: fault},
		dialect.Rule{On: "logged_out", Status: 204},
	)
	base := named(t, "ecgrid")
	for _, reason := range dialect.Reasons() {
		var status int
		contentType := "application/json"
		switch reason {
		case dialect.RevokedCredential:
			status = 440
		case dialect.InvalidCredential, dialect.InvalidAPIKey: // the special case of it
			status, contentType = 498, "text/plain; charset=utf-8"
		case dialect.InvalidRequest, dialect.MalformedRequest:
			status = 400 // the base's
		case dialect.NotWebSocket:
			status = 426
		default:
			other := base.Refuse(dialect.Refusal{Reason: reason})
			checkAnswer(t, reason.String(), d.Refuse(dialect.Refusal{Reason: reason}), other.Status, other.ContentType, string(other.Body))
			continue
		}
		body := fmt.Sprintf(`{"fault":"%s","code":%d}`, reason, status)
		if status == 498 {
			body = fmt.Sprintf("%s %d", reason, status)
		}
		checkAnswer(t, reason.String(), d.Refuse(dialect.Refusal{Reason: reason}), status, contentType, body)
	}
	checkAnswer(t, "logged out", d.LoggedOut(dialect.Request{}), 204, "", "")
	checkAnswer(t, "unknown", d.Refuse(dialect.Refusal{Reason: 250}), 503, "application/json",
		`{"success":false,"errorCode":"ServiceUnavailable","message":"The service is temporarily unavailable.","data":null}`)
}

// "*" with 401 must not log everybody out while the list does not answer.
func TestCustomDoesNotTakeUnavailableForABadCredential(t *testing.T) {
	all := custom(t, "octopus_cards", dialect.Rule{On: "*", Status: 401, Body: `"no"`})
	for _, reason := range dialect.Reasons() {
		got := all.Refuse(dialect.Refusal{Reason: reason})
		if reason == dialect.Unavailable {
			checkAnswer(t, "unavailable", got, 503, "application/json",
				`{"error":{"name":"ServiceUnavailableError","code":"SERVICE_UNAVAILABLE","message":"Service temporarily unavailable"}}`)
			continue
		}
		checkAnswer(t, reason.String(), got, 401, "application/json", `"no"`)
	}
	for _, status := range []int{0, 500} { // 0: the base's own
		d := custom(t, "octopus_cards", dialect.Rule{On: "*", Status: status, Body: "{status}"})
		if got := d.Refuse(dialect.Refusal{}); got.Status < 500 || string(got.Body) != fmt.Sprint(got.Status) {
			t.Errorf("* with %d: %d %s", status, got.Status, got.Body)
		}
	}
	for _, status := range []int{200, 401, 429, 499} {
		if _, err := dialect.NewCustom(nil, []dialect.Rule{{On: "unavailable", Status: status}}); err == nil {
			t.Errorf("unavailable may be answered with %d", status)
		}
	}
}

func TestZeroCustomIsProblem(t *testing.T) {
	var d dialect.Custom
	want := named(t, "problem").Refuse(dialect.Refusal{Reason: dialect.ExpiredCredential})
	checkAnswer(t, "zero", d.Refuse(dialect.Refusal{Reason: dialect.ExpiredCredential}), want.Status, want.ContentType, string(want.Body))
	if got := d.LoggedOut(dialect.Request{}); got.Status != 204 {
		t.Errorf("logged out: %d", got.Status)
	}
}

// What a base needs of the request reaches it.
func TestCustomPassesTheRequestToItsBase(t *testing.T) {
	d := custom(t, "deribit", dialect.Rule{On: "rate_limited", Status: 429})
	checkAnswer(t, "base", d.Refuse(dialect.Refusal{Reason: dialect.RevokedCredential, Request: withID("42")}), 400,
		"application/json", `{"jsonrpc":"2.0","id":42,`+unauthorized)
	checkAnswer(t, "logged out", d.LoggedOut(withID("42")), 200, "application/json", `{"jsonrpc":"2.0","id":42,"result":"ok"}`)
	oauth := custom(t, "oauth", dialect.Rule{On: "logged_out", Status: 200, Body: `{"at":"{time}"}`})
	if got := oauth.Refuse(dialect.Refusal{Reason: dialect.RevokedCredential, Grant: true}); got.Status != 400 {
		t.Errorf("grant: %d %s", got.Status, got.Body)
	}
	checkAnswer(t, "logged out", oauth.LoggedOut(withValues(map[string]string{"time": "noon"})), 200, "application/json", `{"at":"noon"}`)
}

func TestCustomRulesThatAreWrong(t *testing.T) {
	deep := strings.Repeat("[", 20000) + strings.Repeat("]", 20000)
	for name, tt := range map[string]struct {
		rules []dialect.Rule
		err   string
	}{
		"unknown reason":         {[]dialect.Rule{{On: "teapot", Status: 418}}, `unknown reason "teapot": want unavailable, `},
		"no reason":              {[]dialect.Rule{{Status: 401}}, `unknown reason ""`},
		"reason in capitals":     {[]dialect.Rule{{On: "Unavailable", Status: 503}}, `unknown reason "Unavailable"`},
		"twice":                  {[]dialect.Rule{{On: "*", Status: 401}, {On: "*", Status: 401}}, "answer to *: given twice"},
		"logged out twice":       {[]dialect.Rule{{On: "logged_out"}, {On: "logged_out"}}, "answer to logged_out: given twice"},
		"status too low":         {[]dialect.Rule{{On: "*", Status: 199}}, "answer to *: status 199: want 200 to 599"},
		"status negative":        {[]dialect.Rule{{On: "logged_out", Status: -1}}, "status -1: want 200 to 599"},
		"status too high":        {[]dialect.Rule{{On: "unavailable", Status: 600}}, "status 600: want 200 to 599"},
		"body with 204":          {[]dialect.Rule{{On: "logged_out", Status: 204, Body: "{}"}}, "status 204 cannot have a body"},
		"body with 304":          {[]dialect.Rule{{On: "*", Status: 304, Body: "{}"}}, "status 304 cannot have a body"},
		"content type":           {[]dialect.Rule{{On: "*", Status: 401, ContentType: "json"}}, `content type "json": want a media type`},
		"content type malformed": {[]dialect.Rule{{On: "*", Status: 401, ContentType: "a/b/c"}}, `content type "a/b/c": want a media type`},
		"header in content type": {[]dialect.Rule{{On: "*", Status: 401, ContentType: "text/plain\r\nSet-Cookie: a=b"}}, "want printable ASCII"},
		"not JSON":               {[]dialect.Rule{{On: "*", Status: 401, Body: `{"a":}`}}, "answer to *: body is not JSON, as its content type says"},
		"not problem+json":       {[]dialect.Rule{{On: "*", Status: 401, ContentType: "application/problem+json", Body: "no"}}, "body is not JSON"},
		"too deep":               {[]dialect.Rule{{On: "*", Status: 401, Body: deep}}, "body is not JSON"},
		"not UTF-8":              {[]dialect.Rule{{On: "*", Status: 401, Body: "\"\xff\""}}, "body is not UTF-8"},
		"too large":              {[]dialect.Rule{{On: "*", Status: 401, ContentType: "text/plain", Body: strings.Repeat("x", 64<<10+1)}}, "body larger than 65536 bytes"},
		"too large with reasons": {[]dialect.Rule{{On: "revoked_credential", Status: 401, ContentType: "text/plain", Body: strings.Repeat("{reason}", 8000)}}, "body larger than 65536 bytes"},
		"placeholder as a name":  {[]dialect.Rule{{On: "*", Status: 401, Body: `{{a}:1}`}}, "body is not JSON"},
		"placeholder in escape":  {[]dialect.Rule{{On: "*", Status: 401, Body: `"\u00{a}41"`}}, "body is not JSON"},
		"placeholder in number":  {[]dialect.Rule{{On: "*", Status: 401, Body: `1{a}`}}, "body is not JSON"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := dialect.NewCustom(named(t, "problem"), tt.rules)
			if err == nil || !strings.Contains(err.Error(), tt.err) {
				t.Errorf("got %v, want %s", err, tt.err)
			}
		})
	}
}

func ExampleNewCustom() {
	base, err := dialect.Named("problem")
	if err != nil {
		fmt.Println(err)
		return
	}
	d, err := dialect.NewCustom(base, []dialect.Rule{
		{On: "*", Status: 401, Body: `{"code":{status},"reason":"{reason}","path":"{http.request.uri.path}"}`},
		{On: "logged_out", Status: 200, Body: `{"bye":true}`},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	request := dialect.Request{Value: func(name string) (string, bool) {
		return `/"quoted"`, name == "http.request.uri.path"
	}}
	fmt.Println(string(d.Refuse(dialect.Refusal{Reason: dialect.RevokedCredential, Request: request}).Body))
	fmt.Println(string(d.LoggedOut(request).Body))
	fmt.Println(json.Valid(d.Refuse(dialect.Refusal{Reason: dialect.Unavailable}).Body))
	// Output:
	// {"code":401,"reason":"revoked_credential","path":"/\"quoted\""}
	// {"bye":true}
	// true
}
