package model_test

import (
	"fmt"
	"os"

	"github.com/edgerun/edgerun/model"
)

// A graph is read from its text form, checked and printed.
func ExampleParse() {
	g, err := model.Parse([]byte(`graph main(x: f32[1,3]) -> (y) {
  const w: f32[3]{1, 2, 3}
  scale: s = Mul(x, w)
  clip: y = Relu(s)
}`))
	if err != nil {
		fmt.Println(err)
		return
	}
	if err := model.Verify(g); err != nil {
		fmt.Println(err)
		return
	}
	if err := model.Print(os.Stdout, g); err != nil {
		fmt.Println(err)
	}
	// Output:
	// graph main(x: f32[1,3]) -> (y) {
	//   scale: s = Mul(x, w: f32[3]{1, 2, 3})
	//   clip: y = Relu(s)
	// }
}
