package schedulertest

import (
	"fmt"
	"maps"
	"strings"
	"testing"

	"github.com/nomadhub/nomadhub/scheduler"
)

// hostileValues are what people type, or what an attacker would: each must reach the server as it is.
var hostileValues = []string{
	`${NOMAD_ALLOC_ID}`, `${attr.kernel.name}`, `${env["PATH"]}`, `$${HOME}`, `%{ if true }x%{ endif }`, `${`,
	`{{ key "x" }}`, `{{ env "PATH" }}`, `{{`, `}}`, `{{/* */}}`, `<%= 1 %>`,
	`$(id)`, "`id`", `$HOME`, `; rm -rf /`, `a && b | c`, `!!`, `~`, `*`,
	`"`, `'`, `""`, `"quoted"`, `it's`, `\`, `\\`, `\n`, `\"`, `\u0041`, `a\`,
	"line\nbreak", "\nleading", "trailing\n", "carriage\r\nreturn", "tab\there", "bell\x07", "escape\x1b[31mred",
	"", " ", "  spaces around  ", "# no comment", "a # b", "=", "a=b=c", "export A=b", "<b>&amp;</b>", "\u2028\u2029",
	"grüße", "日本語", "🎉👩‍🔬", "\u202eright to left", "e\u0301", "__proto__", `' OR '1'='1`,
}

func hostileText(t *testing.T, b *bench) {
	spec := b.spec("lab1", serve)
	want := make(map[string]string)
	spec.Secrets = make(map[string]string)
	for i, value := range hostileValues {
		open, hidden := fmt.Sprintf("OPEN_%d", i), fmt.Sprintf("HIDDEN_%d", i)
		want[open], want[hidden] = value, value
		spec.Env[open], spec.Secrets[hidden] = value, value
		spec.Labels[fmt.Sprintf("label_%d", i)] = value
	}
	want["OPEN_LONG"] = strings.Repeat("ä${x}\n", 1000)
	spec.Env["OPEN_LONG"] = want["OPEN_LONG"]
	b.start(t, spec)
	_, env := b.awaitServing(t, spec)
	for name, value := range want {
		if got, ok := env[name]; !ok || got != value {
			t.Errorf("%s: the server sees %q (set: %v), want %q", name, got, ok, value)
		}
	}
	if b.Labels != nil {
		if got := b.Labels(t, spec.ID); !maps.Equal(got, spec.Labels) {
			t.Errorf("labels: got %q, want %q", got, spec.Labels)
		}
	}
	b.stop(t, spec.ID)
}

func secretsStaySecret(t *testing.T, b *bench) {
	const secret = "s3cr3t-7f3a9c51"
	spec := b.spec("lab1", serve)
	spec.Env["JUPYTERHUB_USER"] = "ada"
	spec.Secrets = map[string]string{"JUPYTERHUB_API_TOKEN": secret}
	b.start(t, spec)
	status, env := b.awaitServing(t, spec)

	if env["JUPYTERHUB_API_TOKEN"] != secret || env["JUPYTERHUB_USER"] != "ada" {
		t.Errorf("the server sees token %q of user %q", env["JUPYTERHUB_API_TOKEN"], env["JUPYTERHUB_USER"])
	}
	shown := map[string]string{"Status": fmt.Sprintf("%+v", status), "List": fmt.Sprintf("%+v", b.requireOne(t))}
	if tailer, ok := b.Scheduler.(scheduler.LogTailer); ok {
		lines, err := tailer.LogTail(b.context(t), spec.ID, 1000)
		if err != nil {
			t.Errorf("log: %v", err)
		}
		shown["LogTail"] = strings.Join(lines, "\n")
	}
	if b.Visible != nil {
		shown["Visible"] = b.Visible(t, spec.ID)
		if shown["Visible"] == "" {
			t.Error("the harness shows nothing of the server, which proves nothing")
		}
	}
	for where, text := range shown {
		if strings.Contains(text, secret) {
			t.Errorf("%s shows the secret", where)
		}
	}
	b.stop(t, spec.ID)
}
