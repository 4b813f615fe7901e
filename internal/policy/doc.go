// Package policy has no code, only tests that keep the project's rules: which
// package imports which, that every package says what it guarantees, that Go files
// and Caddyfiles are formatted, and that what the documentation shows and links to
// works. CONTRIBUTING.md describes the rules.
package policy
