package restclient

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"iter"
	"maps"
	"net/http"
	"net/url"
	"strconv"
)

// pageMedia asks for a list in pages; see the API's documentation.
const pageMedia = "application/jupyterhub-pagination+json"

// pageSize is how many entries are asked for at once: the most that hubs give.
const pageSize = 200

// List walks through all entries of a list, page after page. Lists that know no pages come at once. It ends after the first error.
func (c *Client) List(ctx context.Context, path string, query url.Values) iter.Seq2[json.RawMessage, error] {
	return func(yield func(json.RawMessage, error) bool) {
		for offset, more := 0, true; more; {
			items, next, err := c.page(ctx, path, query, offset)
			if err != nil {
				yield(nil, err)
				return
			}
			for _, item := range items {
				if !yield(item, nil) {
					return
				}
			}
			more = next > offset // one that does not get on would never end
			offset = next
		}
	}
}

// page reads one page, and from where on the next one is; 0: there is none. The offset counts, and not the next page's address: the token is sent to no other host.
func (c *Client) page(ctx context.Context, path string, query url.Values, offset int) (items []json.RawMessage, next int, err error) {
	q := url.Values{"limit": {strconv.Itoa(pageSize)}, "offset": {strconv.Itoa(offset)}}
	maps.Copy(q, query)
	res, err := c.send(ctx, http.MethodGet, path+"?"+q.Encode(), nil, pageMedia+", application/json")
	if err != nil {
		return nil, 0, err
	}
	defer res.Body.Close()
	text, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer))
	if err != nil {
		return nil, 0, fmt.Errorf("the hub's answer broke off: %w", err)
	}
	var page struct {
		Items []json.RawMessage `json:"items"`
		About struct {
			Next *struct {
				Offset int `json:"offset"`
			} `json:"next"`
		} `json:"_pagination"`
	}
	if json.Unmarshal(text, &items) == nil { // no pages
		return items, 0, nil
	}
	if err := json.Unmarshal(text, &page); err != nil {
		return nil, 0, fmt.Errorf("what answers at %s is no hub's API: %w", c.base, err)
	}
	if page.About.Next != nil {
		next = page.About.Next.Offset
	}
	return page.Items, next, nil
}
