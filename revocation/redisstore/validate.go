package redisstore

// Validate returns what is wrong with the options. It does not connect.
func (o Options) Validate() error {
	_, err := o.withDefaults()
	return err
}
