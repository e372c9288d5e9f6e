package pipeline

import "testing"

func TestCIFAR(t *testing.T) {
	data := make([]byte, 2*3073)
	data[3073], data[3073+1+5], data[3073+1+1024+5], data[3073+1+2048+5] = 7, 10, 20, 30
	list := CIFAR(data)
	if len(list) != 2 {
		t.Fatalf("%d pictures", len(list))
	}
	if p := list[1].Image.Pix[15:18]; p[0] != 10 || p[1] != 20 || p[2] != 30 {
		t.Errorf("pixel 5 is %v", p)
	}
	if CIFAR(data[1:]) != nil || CIFAR(nil) != nil {
		t.Error("files of another size are split")
	}
}
