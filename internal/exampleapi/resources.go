package exampleapi

import (
	"net/http"
	"strconv"
)

// card is one entry of GET /v1/cards.
type card struct {
	ID       string `json:"id"`
	Name     string `json:"name"`
	Value    string `json:"value"`
	Currency string `json:"currency"`
}

// cards answers GET /v1/cards: what there is to protect, different for each client.
func (h *Handler) cards(w http.ResponseWriter, _ *http.Request, client int64) {
	prefix := strconv.FormatInt(client, 10) + "-"
	writeData(w, []card{
		{ID: prefix + "1001", Name: "Bookshop", Value: "25.00", Currency: "EUR"},
		{ID: prefix + "1002", Name: "Coffee", Value: "10.00", Currency: "EUR"},
	})
}

// health answers GET /health, which needs no credential.
func (h *Handler) health(w http.ResponseWriter, _ *http.Request) {
	writeData(w, struct {
		Status string `json:"status"`
	}{"ok"})
}
