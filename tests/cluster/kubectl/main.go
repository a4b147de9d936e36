// Command kubectl is for machines that have none and need no cluster: the tests that drive the API as
// people do want it, and a package of it may be missing or too old.
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
