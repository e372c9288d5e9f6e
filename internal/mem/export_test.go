package mem

// Forget has a mapping look like memory of nobody, until the function that it returns is called.
func (m *Mapping) Forget() func() {
	files.remove(m.Data)
	return func() { files.add(m.Data, "") }
}
