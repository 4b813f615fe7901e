package differential

import (
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"strings"
)

// generate returns the n-th request for a configuration. Each is a plain request to one of
// its calls of which one or two parts are written in an unusual way.
func generate(s *setup, seed uint64, n int) *request {
	h := fnv.New64a()
	_, _ = h.Write([]byte(s.name))                                     // never fails
	g := &grammar{rand.New(rand.NewPCG(seed, h.Sum64()+uint64(n))), s} //nolint:gosec // n is not negative
	r := g.request()
	r.name, r.setups = fmt.Sprintf("seed %d, number %d", seed, n), []string{s.name}
	return r
}

type grammar struct {
	*rand.Rand
	setup *setup
}

func (g *grammar) one(of ...string) string { return of[g.IntN(len(of))] }

// in reports whether it is one of these percent.
func (g *grammar) in(percent int) bool { return g.IntN(100) < percent }

// draft is a request that is being written.
type draft struct {
	method, path, query string
	headers             []string
	cookies             []string
	body, contentType   string
}

func (g *grammar) request() *request {
	d := g.call()
	target := d.path
	if d.query != "" {
		target += "?" + d.query
	}
	if g.in(12) {
		target = g.form(target)
	}
	if g.in(6) {
		d.method = g.one("GET", "POST", "PUT", "HEAD", "OPTIONS", "DELETE", "PATCH", "post", "PoSt", "QUERY", "TRACE")
	}
	if len(d.cookies) > 0 {
		d.headers = append(d.headers, "Cookie: "+strings.Join(d.cookies, g.one("; ", "; ", "; ", ";", " ;", ", ", ",", " ", "\t", "\r\nCookie: ")))
	}
	switch {
	case d.body == "":
	case g.in(85):
		d.headers = append(d.headers, "Content-Type: "+d.contentType)
	default:
		d.headers = append(d.headers, g.kind(d.contentType)...)
	}
	if g.in(15) {
		d.headers = append(d.headers, g.beside()...)
	}
	if d.body != "" && g.in(6) {
		d.frame(g)
	}
	g.Shuffle(len(d.headers), func(i, j int) { d.headers[i], d.headers[j] = d.headers[j], d.headers[i] })
	lines := []string{d.method + " " + target + " " + g.version()}
	for _, header := range d.headers {
		lines = append(lines, strings.Split(header, "\r\n")...)
	}
	return &request{lines: lines, body: d.body}
}

func (g *grammar) version() string {
	if g.in(97) {
		return "HTTP/1.1"
	}
	return g.one("HTTP/1.0", "HTTP/1.1 ", "HTTP/1.2", "http/1.1")
}

// call writes one of the calls, with an unusual path, credential or refresh token.
func (g *grammar) call() *draft {
	s := g.setup
	d := &draft{method: "POST", contentType: "application/json"}
	oddPath := g.in(50)
	switch p := g.IntN(100); {
	case s.refresh != "" && p < 40:
		d.path = s.refreshPath
		if g.in(80) {
			d.credential(g, "{LIVE}", false)
		}
		d.refreshTokens(g, !oddPath)
	case s.logout != "" && p < 50:
		d.path, oddPath = s.logoutPath, true
		d.credential(g, "{LIVE}", false)
	case s.login != "" && p < 58:
		d.path = s.loginPath
		d.credential(g, g.one("{LIVE}", "{REVOKED}", ""), false)
		d.body = `{"username":"a","password":"b"}`
	case p < 65:
		d.method, d.path = "GET", g.one("/status", "/static/app.js")
		d.credential(g, g.one("", "{REVOKED}"), false)
	case p < 75:
		// What may be taken for a public path, or for a login, and is not.
		d.method, oddPath = g.one("GET", "GET", "POST"), true
		from := g.one("/status", "/static/x", "/static", "/auth/login", s.loginPath)
		d.path = from + g.one("/../", "/../../", "/..;/", "/%2e%2e/", "/..%2f", "/..%2f..%2f", "%2f..%2f", `/..\`, "/..%5c", "/%252e%252e/",
			"/.%2e/", "/;/../", "/..;x=y/", "/.;/../", "%00/../", "?/../", "#/../", "/..%00/", "/%2e%2e%2f", "/...//../") + s.protectedPath[1:]
		d.credential(g, g.one("", "{REVOKED}", "{LIVE}"), false)
	default:
		d.method, d.path = g.one("GET", "GET", "POST"), s.protectedPath+g.one("", "", "/7")
		if oddPath {
			d.credential(g, g.one("", "{REVOKED}"), g.in(30))
		} else {
			d.twoCredentials(g)
		}
	}
	if oddPath {
		d.path = g.path(d.path)
		if g.in(25) {
			d.path = g.path(d.path)
		}
	}
	return d
}

// credential writes a token at one of the places that the configuration names.
func (d *draft) credential(g *grammar, token string, odd bool) {
	if token == "" {
		return
	}
	place := g.one(g.setup.credentials...)
	in, name, _ := strings.Cut(place, " ")
	switch {
	case place == authorization && odd:
		d.headers = append(d.headers, g.authorization(token))
	case place == authorization:
		d.headers = append(d.headers, "Authorization: Bearer "+token)
	case in == "header" && odd:
		d.headers = append(d.headers, g.header(name, token))
	case in == "header":
		d.headers = append(d.headers, name+": "+token)
	case in == "cookie" && odd:
		d.cookies = append(d.cookies, g.cookie(name, token))
	case in == "cookie":
		d.cookies = append(d.cookies, name+"="+token)
	case in == "query" && odd:
		d.query = g.join(d.query, g.parameter(name, token))
	case in == "query":
		d.query = g.join(d.query, name+"="+token)
	case odd:
		d.json(g, strings.TrimPrefix(name, "params."), token)
	default:
		d.body = `{"jsonrpc":"2.0","id":1,"method":"private/get_positions","params":{"access_token":"` + token + `"}}`
		d.method = "POST"
	}
}

// twoCredentials writes a live token and a revoked one, at least one of them in an unusual
// way, or one alone.
func (d *draft) twoCredentials(g *grammar) {
	switch g.IntN(10) {
	case 0:
		d.credential(g, "{REVOKED}", true)
	case 1:
		d.credential(g, "{LIVE}", true)
		d.credential(g, "{REVOKED}", false)
	case 2:
		d.credential(g, "{REVOKED}", true)
		d.credential(g, "{LIVE}", true)
	case 3, 4, 5:
		d.credential(g, "{REVOKED}", true)
		d.credential(g, "{LIVE}", false)
	default:
		d.credential(g, "{LIVE}", false)
		d.credential(g, "{REVOKED}", true)
	}
}

// refreshTokens writes a refresh token where the configuration has it, and with odd another
// one, or the only one, in an unusual way.
func (d *draft) refreshTokens(g *grammar, odd bool) {
	plain, other := "{RLIVE}", "{RREVOKED}"
	switch {
	case !odd:
		plain, other = g.one("{RREVOKED}", "{RREVOKED}", "{RLIVE}"), ""
	case g.in(30):
		plain, other = "", g.one("{RREVOKED}", "{RREVOKED}", "{RLIVE}")
	case g.in(10):
		plain, other = "{RREVOKED}", "{RLIVE}"
	}
	first := g.in(30)
	if first {
		d.refreshToken(g, other, true)
	}
	d.refreshToken(g, plain, false)
	if !first {
		d.refreshToken(g, other, true)
	}
}

func (d *draft) refreshToken(g *grammar, token string, odd bool) {
	const name = "refresh_token"
	if token == "" {
		return
	}
	s := g.setup
	place := "json"
	switch {
	case s.cookieRefresh:
		place = g.one("cookie", "query")
	case s.refresh == s.login:
		place = "form"
	}
	if odd && g.in(35) {
		place = g.one("cookie", "query", "form", "json", "multipart")
	}
	switch place {
	case "cookie":
		pair := name + "=" + token
		if odd {
			pair = g.cookie(name, token)
		}
		d.cookies = append(d.cookies, pair)
	case "query":
		pair := name + "=" + token
		if odd {
			pair = g.parameter(name, token)
		}
		d.query = g.join(d.query, pair)
	case "form":
		pair := name + "=" + token
		if odd {
			pair = g.parameter(name, token)
		}
		if d.body == "" {
			d.body = g.one("grant_type=refresh_token", "x=1", "")
		}
		if strings.HasPrefix(d.body, "{") {
			d.body = g.one(d.body+"&"+pair, strings.TrimSuffix(d.body, "}")+`,"x":"&`+pair+`&"}`)
			return
		}
		d.body, d.contentType = g.join(d.body, pair), "application/x-www-form-urlencoded"
	case "multipart":
		d.contentType = "multipart/form-data; boundary=b"
		d.body = "--b\r\nContent-Disposition: form-data; name=\"" + name + "\"\r\n\r\n" + token + "\r\n--b--\r\n" + d.body
	default:
		if odd {
			d.json(g, name, token)
			return
		}
		d.body = `{"refresh_token":"` + token + `"}`
		d.contentType = "application/json"
	}
}

// json writes a member into the body in an unusual way.
func (d *draft) json(g *grammar, name, token string) {
	upper, cut := strings.ToUpper(name), strings.ReplaceAll(name, "_", "")
	member := g.one(
		`"`+name+`":"{}"`, `"`+upper+`":"{}"`, `"`+name[:1]+`\u00`+fmt.Sprintf("%02x", name[1])+name[2:]+`":"{}"`, `"`+name+`\u0000":"{}"`,
		`"`+name+`":["{}"]`, `"`+name+`":{"0":"{}"}`, `"`+name+` ":"{}"`, `"`+cut+`":"{}"`, `'`+name+`':'{}'`, name+`:"{}"`, `"`+name+`":'{}'`,
		`"`+strings.Replace(name, "s", "\u017f", 1)+`":"{}"`, `"`+strings.Replace(name, "k", "\u212a", 1)+`":"{}"`, `"__proto__":{"`+name+`":"{}"}`,
		`/*"*/"`+name+`":"{}"//*/`+"\n", `"`+name+`":"{}",,`, `"`+name+"\x00"+`":"{}"`, `"`+name+`":null,"`+name+`":"{}"`, `"\ud800":1,"`+name+`":"{}"`,
		`"x":NaN,"`+name+`":"{}"`, "\"\xff\":1,\""+name+`":"{}"`, `"`+strings.ReplaceAll(name, "_", "-")+`":"{}"`,
	)
	member = strings.Replace(member, "{}", token, 1)
	switch {
	case strings.HasPrefix(d.body, "{") && g.in(50):
		d.body = "{" + member + "," + d.body[1:]
	case strings.HasPrefix(d.body, "{"):
		d.body = strings.TrimSuffix(d.body, "}") + "," + member + "}"
	case d.body == "":
		d.body = "{" + member + "}"
	default:
		return
	}
	switch g.IntN(25) {
	case 0:
		d.body = "\xef\xbb\xbf" + d.body
	case 1:
		d.body += g.one("x", "\x00", `{"`+name+`":"`+token+`"}`, "\n"+`{"`+name+`":"`+token+`"}`)
	case 2:
		d.body = g.one("[", ")]}',\n", "\x00", "\f", "\v", "\u00a0", "//x\n") + d.body
	case 3:
		wide := make([]byte, 0, 2*len(d.body))
		for _, c := range []byte(d.body) {
			wide = append(wide, c, 0)
		}
		if !strings.Contains(d.body, "{R") && !strings.Contains(d.body, "{L") {
			d.body = string(wide)
		}
	}
}

// join adds a pair to a query or form.
func (g *grammar) join(query, pair string) string {
	if query == "" {
		return pair
	}
	return query + g.separator() + pair
}

func (g *grammar) separator() string {
	if g.in(80) {
		return "&"
	}
	return g.one(";", "&&", "&amp;", "%26", "?", "&;", "&?", "#", "%00&", ",", "|", "&x", "&%")
}

// parameter writes a pair of a query or form in an unusual way.
func (g *grammar) parameter(name, token string) string {
	i := g.IntN(len(name))
	hex := fmt.Sprintf("%%%02x", name[i])
	return g.one(
		name, "["+name+"]", name+"[]", name+"[x]", name+"[0]", name+"[", name+"]", name+"[[x]", name+"[x", "x["+name+"]", "["+name, "]"+name, "[]"+name,
		name+"[]["+name+"]", name+"%00", name+"%00x", "%00"+name, "%20"+name, name+"%20", "+"+name, name+"+", "."+name, name+".", name+".x", "x."+name,
		name[:i]+hex+name[i+1:], name[:i]+"%25"+hex[1:]+name[i+1:], strings.ToUpper(name), strings.Replace(name, "_", ".", 1), strings.Replace(name, "_", "-", 1),
		strings.Replace(name, "_", "+", 1), strings.Replace(name, "_", "%20", 1), strings.Replace(name, "_", "[", 1), strings.Replace(name, "_", "%5b", 1),
		strings.Replace(name, "_", "", 1), strings.Replace(name, "s", "%c5%bf", 1), strings.Replace(name, "k", "%e2%84%aa", 1), "amp;"+name, name+"%5b%5d",
		"%5b"+name+"%5d", name+"%5b", "__proto__["+name+"]", "constructor["+name+"]", "?"+name, "%3f"+name, "#"+name, name+";", ";"+name, "%ef%bb%bf"+name,
		name+"%0a", "%0a"+name, name+"%09", "%0d"+name, "%a0"+name, "%c2%a0"+name, name+"%ad", "%26"+name, "x%26"+name, "%3d"+name, "x=%26"+name, "x;"+name,
		"x=1%00&"+name, "%", "%zz&"+name, name+"%", "$"+name, "_"+name, "&"+name, "%u0074"+name[1:], "%c1%b4"+name[1:], "\""+name+"\"", "'"+name+"'", name+"/", "/"+name,
		name+":", name+"="+"&"+name,
	) + g.one("=", "=", "=", "=", "=", "=", "==", "=%20", "=+", "%3d", "[]=", "[x]=", "%5b%5d=", "=%00", "=%22") + token
}

// cookie writes a pair of the header field Cookie in an unusual way.
func (g *grammar) cookie(name, token string) string {
	i := g.IntN(len(name))
	hex := fmt.Sprintf("%%%02x", name[i])
	return strings.Replace(g.one(
		name+"={}", name+" ={}", " "+name+"={}", name+"= {}", "\t"+name+"={}", name+"\t={}", name+`="{}"`, name+`='{}'`, "$Version=1; "+name+"={}", "$Version=\"1\"; "+name+"={}; $Path=/",
		"x=1, "+name+"={}", "x=1,"+name+"={}", "x=1 "+name+"={}", "x=1\t"+name+"={}", "="+name+"={}", "=; "+name+"={}", `x="a; `+name+`={}"`, `x="a; `+name+"={}", `x="a"; `+name+"={}",
		`x="a\"; `+name+"={}", strings.ToUpper(name)+"={}", name[:i]+hex+name[i+1:]+"={}", name+"[]={}", name+"[x]={}", name+".={}", name+"%00={}", name+"%00x={}", name+"\x01={}",
		name+"\xa0={}", "\xa0"+name+"={}", "\xc2\xa0"+name+"={}", "\u017f="+"; "+strings.Replace(name, "k", "\u212a", 1)+"={}", name+"=={}", "x; "+name+"={}", "x;"+name+"={}", ";"+name+"={}", `"`+name+`"={}`,
		name+":{}", name+`=j:"{}"`, name+`=j:["{}"]`, name+"=s:{}.x", strings.Replace(name, "_", ".", 1)+"={}", strings.Replace(name, "_", "[", 1)+"={}", strings.Replace(name, "_", "%20", 1)+"={}",
		"x==; "+name+"={}", "x=\\; "+name+"={}", "{} ; "+name+"={}", name+"={}{}", name+"=%22{}%22", name+"=x; "+name+"={}", name+"=; "+name+"={}", "x=;"+name+"={}", "x=&"+name+"={}", "x=a&"+name+"={}",
		"x=\x0b"+name+"={}", "x=\x0c"+name+"={}", "/"+name+"={}", "@"+name+"={}", "(x)="+name+"={}", name+"/x={}", "x=[; "+name+"={}", "x={; "+name+"={}", "x=\"; y=z\"; "+name+"={}", "%20"+name+"={}", "+"+name+"={}",
	), "{}", token, 1)
}

// header writes a header field in an unusual way.
func (g *grammar) header(name, token string) string {
	return strings.Replace(g.one(
		name+": {}", strings.ToUpper(name)+": {}", strings.ReplaceAll(name, "-", "_")+": {}", strings.ReplaceAll(name, "-", "^")+": {}", strings.ReplaceAll(name, "-", ".")+": {}",
		strings.ReplaceAll(name, "-", "!")+": {}", strings.ReplaceAll(name, "-", "~")+": {}", strings.ReplaceAll(name, "-", "|")+": {}", strings.ReplaceAll(name, "-", "*")+": {}",
		strings.ReplaceAll(name, "-", "'")+": {}", strings.ReplaceAll(name, "-", "+")+": {}", strings.ReplaceAll(name, "-", "#")+": {}", strings.ReplaceAll(name, "-", "--")+": {}",
		name+" : {}", " "+name+": {}", name+"\t: {}", name+":\r\n {}", name+": x,{}", name+": {}, {}", name+":{}", name+":\t{}\t", name+"\x00: {}", name+"\xa0: {}", "X: y\r\n"+name+": {}",
		name+": \r\n"+name+": {}", name+": \"{}\"", name+"_: {}", "HTTP_"+name+": {}", "HTTP-"+name+": {}", name+": {}\x00", name+": {};x=y", "x:y\n"+name+": {}",
		"Connection: "+name+"\r\n"+name+": {}",
	), "{}", token, 1)
}

// authorization writes a bearer token in an unusual way.
func (g *grammar) authorization(token string) string {
	if g.in(40) {
		return g.header("Authorization", "Bearer "+token)
	}
	return "Authorization: " + strings.Replace(g.one(
		"bearer {}", "BEARER {}", "Bearer  {}", "Bearer\t{}", "Bearer x, Bearer {}", "Basic YTpi, Bearer {}", "Token {}", "{}", "Bearer: {}", `"Bearer {}"`, `Bearer "{}"`, "Bearer={}", "Bearer {} x", "Bearer {}, x=y",
		"Bearer {},", "JWT {}", "Bearer%20{}", "\xa0Bearer {}", "Bearer\xa0{}", "Bearer \x01{}", "Digest Bearer {}", "deri-hmac-sha256 {}", "Basic {}", "Bearer Bearer {}", "Bearer\x0b{}", "B\u00e9arer {}", "DPoP {}", "Bearer{}",
	), "{}", token, 1)
}

// kind writes the type of a body in an unusual way.
func (g *grammar) kind(contentType string) []string {
	return strings.Split("Content-Type: "+strings.ReplaceAll(g.one(
		"{}; charset=utf-8", "{}; charset=UTF-16", "{}; charset=utf-7", "{};charset=iso-8859-1", "text/plain", "{}, text/plain", "text/plain, {}", "{}\r\nContent-Type: text/plain", "application/x-www-form-urlencoded",
		"application/json", "application/ld+json", "text/json", "application/JSON", "APPLICATION/X-WWW-FORM-URLENCODED", "x/json", "application/json;x=application/x-www-form-urlencoded", "multipart/form-data; boundary=x",
		"application/x-www-form-urlencoded;boundary=b", "{};", " {} ;x", "{} x", "json", "application/x-www-form-urlencoded, application/json", "application/json\t", "application/json\x00", "", "*/*", "application/*+json",
		"{}\r\nContent-Encoding: identity", "{}\r\nContent-Encoding: gzip", "{}\r\nConnection: Content-Type", "application/json; charset=utf-8; charset=utf-16", "application/octet-stream", "application/vnd.api+json",
	), "{}", contentType), "\r\n")
}

// beside writes further header fields.
func (g *grammar) beside() []string {
	s := g.setup
	path := g.one(s.protectedPath, s.protectedPath, g.either(s.refreshPath), g.either(s.logoutPath), g.either(s.loginPath))
	name := g.one("X-Token", "Authorization", "Cookie", "Content-Type", "Content-Length", "Transfer-Encoding", "Host", "X-Forwarded-For", "Content-Encoding")
	return strings.Split(g.one(
		"X-Original-URL: "+path, "X-Rewrite-URL: "+path, "X-Original-Url: "+path, "X_Original_URL: "+path, "X-Original-URI: "+path, "X-Rewrite-Uri: "+path, "X-Forwarded-Path: "+path, "X-Forwarded-Prefix: "+path, "X-Forwarded-Uri: "+path,
		"X-HTTP-Method-Override: "+g.one("POST", "GET", "PUT"), "X-HTTP-Method: "+g.one("POST", "GET"), "X-Method-Override: "+g.one("POST", "GET"), "X-Http-Method-Override: delete",
		"Connection: "+name, "Connection: close, "+name, "Connection: "+strings.ToLower(name)+" ,", "Proxy-Connection: "+name, "TE: trailers", "Upgrade: h2c", "Upgrade: websocket\r\nConnection: Upgrade", "Origin: https://a.example\r\nAccess-Control-Request-Method: POST",
		"Expect: 100-continue", "Accept: application/xml", "X-Forwarded-For: 127.0.0.1", "X-Forwarded-Host: x", "Forwarded: for=127.0.0.1;proto=https", "SCRIPT_NAME: /auth", "Script-Name: /auth", "Path-Info: "+path, "Request-Uri: "+path, "Content-Type: application/json",
		"Trailer: Authorization", "Accept-Encoding: gzip", "Max-Forwards: 0",
	), "\r\n")
}

func (g *grammar) either(path string) string {
	if path == "" {
		return g.setup.protectedPath
	}
	return path
}

// frame has the body sent in chunks, or with a length that is written in an unusual way.
func (d *draft) frame(g *grammar) {
	switch g.IntN(4) {
	case 0:
		d.headers = append(d.headers, "Transfer-Encoding: chunked")
	case 1:
		d.headers = append(d.headers, g.one("Transfer-Encoding: identity", "Transfer-Encoding: chunked, chunked", "Transfer-Encoding: gzip, chunked", "Transfer-Encoding: x", "Transfer_Encoding: chunked"))
	case 2:
		d.headers = append(d.headers, "Transfer-Encoding: chunked", "Content-Length: 3")
	default:
		d.headers = append(d.headers, "Content-Length: 0", "Content-Length: 3")
	}
}

// path writes a path in an unusual way.
func (g *grammar) path(p string) string {
	segments := strings.Split(strings.TrimPrefix(p, "/"), "/")
	last := len(segments) - 1
	i := 1 + g.IntN(max(len(p)-1, 1))
	i = min(i, len(p)-1)
	for p[i] == '/' && i > 1 {
		i--
	}
	hex := fmt.Sprintf("%02x", p[i])
	slash := max(strings.LastIndexByte(p, '/'), 0)
	deep := func(separator string) string { return p[:slash] + separator + p[slash+1:] }
	switch g.IntN(5) {
	case 0: // the end
		return p + g.one("/", "//", ".", ".json", ".php", "%2f", "%20", "%00", "%00.json", ";x", ";x=y", ";", "/.", "/./", "/x/..", "/%2e", "%3f", "%23", "%09", "%0a", "%0d%0a", `\`, "%5c", "/;", "/..;/"+segments[last],
			"%2e", "~", "%7f", "%80", "+", "%a0", "%c2%a0", "::$DATA", "/x", "*", "$", "%", "%2", "%zz", ":", "@", ",", "&", "=", "!", "'", "(", "%25", "%252f", "%26", "%c0%80", "%e2%80%8b", "%c2%ad", ".JSON", "..", "/...", "#", "#x", "|", "^", "`", "\"", "<", "{", "\t", "\x7f", "\xff")
	case 1: // the beginning
		return g.one("/", "//", "/.", "/./.", "/x/..", "/%2e", "/x/%2e%2e", "/;", "/.;", "/x/..;", `\`, `/\`, "/static/..", "/status/..", "/static/..%2f", "/static/%2e%2e", "/static/..;", "/"+segments[0]+"/..", "/%2f", "%2f", "/%5c", "/..", "/../..",
			"/%00", "/%20", "/%09", "/+", "/index.php", "/-", "/~", "/*", "/$", "/%", "/:80", "/@h", "/http:/", "/http://h", "/%2e%2e", "/%252e%252e", "/%c0%ae", "/.%00") + p
	case 2: // between
		return deep(g.one("//", "/./", "/x/../", "%2f", "%2F", `\`, "%5c", "%5C", "/;/", ";/", ";x/", "/%2e/", "/x/%2e%2e/", "/x/..;/", "/.;/", "%252f", "%25%32%66", "%c0%af", "%e0%80%af", "%ef%bc%8f", "%u002f", "/%00/", "%00/", "/%20", "%20/", "/%09", "///", "/%2f", "/.%2f", "%2f%2f", "%3b/", "/%5c", "+/", "/..%2f"+segments[max(last-1, 0)]+"/", "\xc0\xaf", "\xef\xbc\x8f"))
	case 3: // a letter
		return p[:i] + g.one("%"+hex, "%"+strings.ToUpper(hex), "%25"+hex, "%25%"+fmt.Sprintf("%02x", hex[0])+"%"+fmt.Sprintf("%02x", hex[1]), "%u00"+hex, "%2525"+hex, "%00"+p[i:i+1], p[i:i+1]+"%00", "%e2%80%8b"+p[i:i+1], "%c2%ad"+p[i:i+1], "%"+p[i:i+1], "%c1%"+fmt.Sprintf("%02x", p[i]^0xc0&0xbf|0x80), "\x00"+p[i:i+1], "%0a"+p[i:i+1], "%5c"+p[i:i+1]) + p[i+1:]
	default: // letters
		return g.one(strings.ToUpper(p), strings.ToUpper(p[:i])+p[i:], p[:i]+strings.ToUpper(p[i:]), strings.Replace(p, "s", "%c5%bf", 1), strings.Replace(p, "s", "\u017f", 1), strings.Replace(p, "k", "%e2%84%aa", 1), strings.Replace(p, "a", "%ef%bd%81", 1), strings.Replace(p, "o", "%c2%ba", 1), strings.Replace(p, "h", "%ef%bc%a8", 1), strings.Replace(p, "i", "%c4%b1", 1), strings.Replace(p, "f", "%ef%ac%80", 1), strings.Replace(p, "e", "%c3%a9", 1))
	}
}

// form writes a target in another form than the usual one (RFC 9112 §3.2).
func (g *grammar) form(target string) string {
	return g.one("http://h", "HTTP://h", "https://h", "a:http://x", "a:", "a://x", "http:", "http:/", "//h", "http://", "http://h:80", "h:80", "http://u:p@h", "http://h#@x", `http://h\`, "http://h?", "ws://h", "file://", "javascript:", "x", "", "*", "?", "#", ".", "..", `\\h`, "http://h/..", "http://[::1]", "http://%68", "\t", "a:b:c") +
		g.one(target, target, target, strings.TrimPrefix(target, "/"), "/"+target)
}
