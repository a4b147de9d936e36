// Builds kubectl from its own module, for machines that have none: the tests that
// drive the API as people do need it, and a package of it may be missing or too old.
package main

import (
	"k8s.io/component-base/cli"
	kubectl "k8s.io/kubectl/pkg/cmd"
	"k8s.io/kubectl/pkg/cmd/util"
)

func main() {
	// CheckErr prints the error as kubectl does and ends the process with its code.
	util.CheckErr(cli.RunNoErrOutput(kubectl.NewDefaultKubectlCommand()))
}
