package pipeline

import "github.com/edgerun/edgerun/pipeline/pixel"

// CIFAR splits a file in the binary layout of CIFAR-10 (per picture its label, then 32×32 red, green and blue bytes) into
// pictures; nil where the file has another size.
func CIFAR(data []byte) []Source {
	const side, plane = 32, 32 * 32
	if len(data) == 0 || len(data)%(1+3*plane) != 0 {
		return nil
	}
	list := make([]Source, 0, len(data)/(1+3*plane))
	for ; len(data) > 0; data = data[1+3*plane:] {
		m := pixel.New(side, side)
		for i := range plane {
			for c := range 3 {
				m.Pix[3*i+c] = data[1+c*plane+i]
			}
		}
		list = append(list, Source{Image: m})
	}
	return list
}
