package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/nomadhub/nomadhub/httpd"
)

// site is a hub, ours or the stock one, as browsers and notebook servers see it.
type site struct {
	public string // URL of its pages
	api    string // URL at which servers ask its API
	client *http.Client
}

func newSite(public, api string) site {
	return site{public: public, api: api, client: &http.Client{
		Timeout:       askPatience,
		Transport:     &http.Transport{MaxIdleConnsPerHost: 256, DisableCompression: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// askPatience bounds each request, also to a hub that has more to do than it can.
const askPatience = 2 * time.Minute

// visitor is somebody's browser as far as a login needs one: it keeps cookies. Where it is sent, it goes only if it is told to.
type visitor struct {
	site
	name    string
	cookies map[string]*http.Cookie
}

// xsrf is the field of a form, and the cookie, that proves that the form was the hub's.
const xsrf = "_xsrf"

// login logs somebody in as a browser does: it looks at the form, and sends it back.
func (s site) login(ctx context.Context, name string) (*visitor, error) {
	v := &visitor{site: s, name: name, cookies: map[string]*http.Cookie{}}
	page, err := v.ask(ctx, http.MethodGet, s.public+"/hub/login", nil)
	if err != nil {
		return nil, err
	}
	proof := v.cookies[xsrf]
	if page.code != http.StatusOK || proof == nil || !bytes.Contains(page.text, []byte(`name="_xsrf"`)) {
		return nil, fmt.Errorf("the login page came with %d and no proof of its own", page.code)
	}
	form := url.Values{"username": {name}, "password": {"any"}, xsrf: {proof.Value}}
	res, err := v.ask(ctx, http.MethodPost, s.public+"/hub/login", form)
	if err != nil {
		return nil, err
	}
	if res.code != http.StatusFound || v.cookies[httpd.LoginCookie] == nil {
		return nil, fmt.Errorf("the login of %s was answered with %d and no cookie: %.300s", name, res.code, res.text)
	}
	return v, nil
}

// enter is what happens when somebody who is logged in comes to their own server: it sends them to the hub, exchanges the code with which they come back, and asks
// who they are. secret is the server's.
func (v *visitor) enter(ctx context.Context, secret string) error {
	client, back := "jupyterhub-user-"+v.name, "/user/"+v.name+"/oauth_callback"
	q := url.Values{"client_id": {client}, "redirect_uri": {back}, "response_type": {"code"}, "state": {"bench"}}
	res, err := v.ask(ctx, http.MethodGet, v.public+"/hub/api/oauth2/authorize?"+q.Encode(), nil)
	if err != nil {
		return err
	}
	to, err := url.Parse(res.to)
	if err != nil {
		return err
	}
	if res.code != http.StatusFound || to.Path != back || to.Query().Get("code") == "" {
		return fmt.Errorf("%s was not sent back with a code: %d to %s: %.300s", v.name, res.code, res.to, res.text)
	}
	token, err := v.exchange(ctx, url.Values{
		"client_id": {client}, "client_secret": {secret}, "grant_type": {"authorization_code"}, "code": {to.Query().Get("code")}, "redirect_uri": {back},
	})
	if err != nil {
		return err
	}
	return v.knownBy(ctx, token)
}

// exchange has the server exchange its visitor's code for a token.
func (v *visitor) exchange(ctx context.Context, form url.Values) (token string, err error) {
	server := &visitor{site: v.site, cookies: map[string]*http.Cookie{}} // whose cookies are not the browser's
	res, err := server.ask(ctx, http.MethodPost, v.api+"/hub/api/oauth2/token", form)
	if err != nil {
		return "", err
	}
	var got struct {
		AccessToken string `json:"access_token"`
	}
	if err := json.Unmarshal(res.text, &got); err != nil || got.AccessToken == "" {
		return "", fmt.Errorf("the code of %s was exchanged for no token: %d %.300s", v.name, res.code, res.text)
	}
	return got.AccessToken, nil
}

// knownBy is nil if the hub says that the token is this visitor's.
func (v *visitor) knownBy(ctx context.Context, token string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, v.api+"/hub/api/user", nil)
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "token "+token)
	res, err := send(v.client, req)
	if err != nil {
		return err
	}
	var who struct{ Name string }
	if err := json.Unmarshal(res.text, &who); err != nil || who.Name != v.name {
		return fmt.Errorf("the token of %s is known as %d %.300s", v.name, res.code, res.text)
	}
	return nil
}

// ask makes a request with all cookies, and keeps those that come back.
func (v *visitor) ask(ctx context.Context, method, address string, form url.Values) (reply, error) {
	req, err := http.NewRequestWithContext(ctx, method, address, strings.NewReader(form.Encode()))
	if err != nil {
		return reply{}, err
	}
	if form != nil {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for _, c := range v.cookies {
		req.AddCookie(c)
	}
	res, err := send(v.client, req)
	if err != nil {
		return reply{}, err
	}
	for _, c := range res.cookies {
		if c.MaxAge < 0 || c.Value == "" {
			delete(v.cookies, c.Name)
			continue
		}
		v.cookies[c.Name] = &http.Cookie{Name: c.Name, Value: c.Value, Quoted: c.Quoted}
	}
	return res, nil
}

// reply is an answer that was read to its end.
type reply struct {
	code    int
	to      string // where it sends the browser
	cookies []*http.Cookie
	text    []byte
}

// send makes a request and reads all of its answer.
func send(client *http.Client, req *http.Request) (reply, error) {
	res, err := client.Do(req)
	if err != nil {
		return reply{}, err
	}
	text, err := io.ReadAll(res.Body)
	return reply{res.StatusCode, res.Header.Get("Location"), res.Cookies(), text}, errors.Join(err, res.Body.Close())
}
