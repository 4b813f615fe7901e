package caddymodule

import (
	"slices"
	"strconv"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
)

// blockOptions read the options of a block, by name.
type blockOptions map[string]func(d *caddyfile.Dispenser) error

// unmarshalBlock reads the block that follows, if there is one. Options that are not
// among repeatable may be given once.
func unmarshalBlock(d *caddyfile.Dispenser, options blockOptions, repeatable ...string) error {
	seen := make(map[string]bool)
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		name := d.Val()
		read, ok := options[name]
		switch {
		case !ok:
			return d.Errf("unknown option %q", name)
		case seen[name] && !slices.Contains(repeatable, name):
			return d.Errf("%s is given twice", name)
		}
		seen[name] = true
		if err := read(d); err != nil {
			return err
		}
	}
	return nil
}

// text reads one argument that is not empty.
func text(to *string) func(*caddyfile.Dispenser) error {
	return func(d *caddyfile.Dispenser) error {
		name := d.Val()
		value, err := oneArg(d)
		if err == nil && value == "" {
			err = d.Errf("%s is empty", name)
		}
		*to = value
		return err
	}
}

// texts reads one or more arguments.
func texts(to *[]string) func(*caddyfile.Dispenser) error {
	return func(d *caddyfile.Dispenser) error {
		args := d.RemainingArgs()
		if len(args) == 0 {
			return d.ArgErr()
		}
		*to = append(*to, args...)
		return noBlock(d)
	}
}

// flag reads an option that has no argument.
func flag(to *bool) func(*caddyfile.Dispenser) error {
	return func(d *caddyfile.Dispenser) error {
		if d.NextArg() {
			return d.ArgErr()
		}
		*to = true
		return noBlock(d)
	}
}

// optionalFlag is flag for a value that a preset may have set.
func optionalFlag(to **bool) func(*caddyfile.Dispenser) error {
	return func(d *caddyfile.Dispenser) error {
		*to = new(bool)
		return flag(*to)(d)
	}
}

// positive reads a duration above zero.
func positive(to *caddy.Duration) func(*caddyfile.Dispenser) error {
	return func(d *caddyfile.Dispenser) error {
		name := d.Val()
		value, err := oneArg(d)
		if err != nil {
			return err
		}
		duration, err := caddy.ParseDuration(value)
		if err != nil || duration <= 0 {
			return d.Errf("%s %q: want a duration above zero, such as 10s", name, value)
		}
		*to = caddy.Duration(duration)
		return nil
	}
}

// onOff reads on or off.
func onOff(to **bool) func(*caddyfile.Dispenser) error {
	return func(d *caddyfile.Dispenser) error {
		name := d.Val()
		value, err := oneArg(d)
		if err != nil {
			return err
		}
		if value != "on" && value != "off" {
			return d.Errf("%s %q: want on or off", name, value)
		}
		*to = new(value == "on")
		return nil
	}
}

// places reads one place of a token: a JSON path, or what it is and its name.
func places(to *[]TokenPlace) func(*caddyfile.Dispenser) error {
	return func(d *caddyfile.Dispenser) error {
		args := d.RemainingArgs()
		place := TokenPlace{In: inJSON}
		switch len(args) {
		case 1:
			place.Name = args[0]
		case 2:
			place.In, place.Name = args[0], args[1]
		default:
			return d.ArgErr()
		}
		*to = append(*to, place)
		if _, err := newTokenPlaces(*to); err != nil {
			return d.WrapErr(err)
		}
		return noBlock(d)
	}
}

// number reads a whole number above zero.
func number(to *int) func(*caddyfile.Dispenser) error {
	return func(d *caddyfile.Dispenser) error {
		name := d.Val()
		value, err := oneArg(d)
		if err != nil {
			return err
		}
		n, err := strconv.Atoi(value)
		if err != nil || n <= 0 {
			return d.Errf("%s %q: want a number above zero", name, value)
		}
		*to = n
		return nil
	}
}
