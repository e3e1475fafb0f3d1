package scheduler

import (
	"fmt"
	"strconv"
	"strings"
)

// Megabytes writes MiB as people say them: "512 MB", "1.5 GB".
func Megabytes(mb int64) string {
	if mb < 1024 {
		return fmt.Sprintf("%d MB", mb)
	}
	return strings.TrimSuffix(strconv.FormatFloat(float64(mb)/1024, 'f', 1, 64), ".0") + " GB"
}
