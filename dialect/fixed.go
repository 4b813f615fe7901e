package dialect

import "encoding/json"

const typeJSON = "application/json"

// answers are those of a format to each reason.
type answers [reasonCount]Answer

// newAnswers completes what a format has: a reason without an answer of its own has
// that of the more general one, and failing this, of Unavailable.
func newAnswers(of map[Reason]Answer) *answers {
	var all answers
	for i := range all {
		reason := Reason(i)
		answer, ok := of[reason]
		if !ok {
			answer, ok = of[general[reason]]
		}
		if !ok {
			answer = of[Unavailable]
		}
		all[reason] = answer
	}
	return &all
}

func (a *answers) to(reason Reason) Answer { return a[reason.known()] }

// fixed is a dialect whose answers depend on nothing but the reason.
type fixed struct {
	refusals  *answers
	loggedOut Answer
}

func (f fixed) Refuse(refusal Refusal) Answer { return f.refusals.to(refusal.Reason) }

func (f fixed) LoggedOut(Request) Answer { return f.loggedOut }

// jsonAnswer is an answer with v as its body.
func jsonAnswer(status int, v any) Answer {
	body, err := json.Marshal(v)
	if err != nil {
		panic(err) // what the formats consist of always marshals
	}
	return Answer{Status: status, ContentType: typeJSON, Body: body}
}
