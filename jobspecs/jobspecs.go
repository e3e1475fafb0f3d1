// Package jobspecs holds the Nomad jobspecs of the product. Each is plain HCL2, valid by itself under "nomad job validate", and
// embedded so that the binary can run without a file beside it. An operator copies and changes them.
package jobspecs

import "embed"

// FS holds every jobspec by its file name, such as "notebook.nomad.hcl".
//
//go:embed *.nomad.hcl
var FS embed.FS
