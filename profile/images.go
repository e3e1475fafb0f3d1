package profile

import (
	"cmp"
	"slices"

	"github.com/zclconf/go-cty/cty"

	"github.com/nomadhub/nomadhub/scheduler"
)

// Images are what the profiles run as far as it does not depend on who starts them: the images of containers, those of choices and of overrides included, each
// once for each driver and node pool. Machines that keep them spare people the time of a pull.
func (s *Set) Images() []scheduler.WarmImage {
	if s.empty() {
		return nil
	}
	var all []scheduler.WarmImage
	for _, p := range s.profiles {
		all = append(all, s.imagesOf(p)...)
	}
	var once []scheduler.WarmImage
	for _, image := range all {
		if !slices.Contains(once, image) {
			once = append(once, image)
		}
	}
	return once
}

// imagesOf evaluates a profile for nobody in particular: alone, with each override, and with each choice.
func (s *Set) imagesOf(p *profile) []scheduler.WarmImage {
	w := s.unknown()
	values := map[string]cty.Value{}
	for _, o := range p.options {
		values[o.name] = cty.DynamicVal
	}
	w = w.with(values)
	var all []scheduler.WarmImage
	look := func(put func(*evaluator, *settings)) {
		var e evaluator
		var s settings
		for _, l := range p.layers {
			if l.when == nil {
				e.apply(l.layer, &s, w.context)
			}
		}
		put(&e, &s)
		driver := cmp.Or(s.Driver, "docker") // a jobspec that takes an image and says no driver here is most often docker's
		if (driver == "docker" || driver == "podman") && s.Image.name != "" {
			all = append(all, scheduler.WarmImage{Driver: driver, Image: s.Image.name, Pool: s.NodePool})
		}
	}
	look(func(*evaluator, *settings) {})
	for _, l := range p.layers {
		if l.when != nil {
			look(func(e *evaluator, s *settings) { e.apply(l.layer, s, w.context) })
		}
	}
	for _, o := range p.options {
		for _, c := range o.choices {
			if c.set != nil {
				look(func(e *evaluator, s *settings) { e.apply(*c.set, s, w.choosing(o.name, cty.StringVal(c.name))) })
			}
		}
	}
	return all
}
