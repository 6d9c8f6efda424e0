"""The status page in states that a real server has seldom: hostile names, a hundred routes, limits
that are nearly reached, a long drain; on a small screen, in the dark, with a keyboard."""
import browser
import lastcall
import scene

HOSTILE = ('/<script>window.broken = 1</script>', '/<img src=x onerror="window.broken = 1">',
           '/"onmouseover="window.broken = 1', "/'</td></tr>", '/__proto__', '/\u202egnp.exe',
           '/' + 'x' * 400, '/{{7*7}}${7*7}', '/&lt;b&gt;')

# Every piece of text that is in view, with its contrast to what is behind it (WCAG 2, 1.4.3).
CONTRASTS = r'''(() => {
  const parse = color => color.match(/[\d.]+/g).map(Number);
  const light = rgb => rgb.slice(0, 3).map(c => c / 255).map(c => c <= .04045 ? c / 12.92
    : ((c + .055) / 1.055) ** 2.4).reduce((sum, c, i) => sum + c * [.2126, .7152, .0722][i], 0);
  const behind = element => {
    for (; element; element = element.parentElement) {
      const color = parse(getComputedStyle(element).backgroundColor);
      if (color.length === 3 || color[3] === 1) return color;
    }
    return [255, 255, 255];
  };
  const found = [];
  const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walk.nextNode()) {
    const element = walk.currentNode.parentElement;
    if (!walk.currentNode.data.trim() || !element.checkVisibility() ||
        ["SCRIPT", "STYLE", "NOSCRIPT"].includes(element.tagName)) continue;
    const [one, other] = [parse(getComputedStyle(element).color), behind(element)].map(light)
      .sort((a, b) => b - a);
    found.push([(one + .05) / (other + .05), walk.currentNode.data.trim()]);
  }
  return found;
})()'''

# The size of everything that sticks out of the window to the right.
OVERFLOW = '''[document.documentElement.scrollWidth - innerWidth,
  ...[...document.querySelectorAll("body *")].filter(one => one.checkVisibility() &&
    !one.closest("svg") && getComputedStyle(one).clipPath === "none" &&
    !one.closest("#there thead") &&
    one.getBoundingClientRect().right > innerWidth + .5).map(one => one.outerHTML.slice(0, 90))]'''

FOCUSED = '''(() => { const one = document.activeElement; return one === document.body ? "" :
  one.getAttribute("aria-label") || one.innerText || one.id; })()'''


def draining(second=0, drained=812, **changed):
    return scene.figures(second, state='stopping', drain=scene.drain(drained, **changed))


class Shown(lastcall.Case):
    @classmethod
    def setUpClass(cls):
        cls.browser = browser.Browser(lastcall.scaled(30))
        cls.addClassCleanup(cls.browser.stop)

    def setUp(self):
        self.stage = scene.Stage()
        self.addCleanup(self.stage.stop)

    def page(self, *snapshots, **options):
        page = browser.Page(self.browser, **options)
        self.addCleanup(page.close)
        page.open(self.stage.url)
        page.wait_for('link.opened')
        for snapshot in snapshots or (scene.figures(0), scene.figures(1)):
            self.stage.send(snapshot)
        newest = (snapshots or [scene.figures(1)])[-1]
        page.wait_for(f'last && last.uptime_ms === {newest["uptime_ms"]}')
        return page


class Hostile(Shown):
    def test_markup_in_names_and_addresses_is_shown_as_text(self):
        routes = [scene.route(name, '<b>echo</b>', websocket=True, refused={'<i>': 1})
                  for name in HOSTILE]
        state = scene.drain(1, 100)
        state['sessions'] = [{'address': name, 'route': name, 'open_ms': 5, 'why': '<u>',
                              'queued_bytes': 0} for name in HOSTILE]
        state['waiting'] = [{'why': '<script>window.broken = 1</script>', 'sessions': 3}]
        page = self.page(scene.figures(routes=routes, drain=state, state='stopping',
                                       version='<script>'))
        shown = page.evaluate('[...document.querySelectorAll("#rows td:first-child b, '
                              '#there td:first-child span")].map(one => one.textContent)')
        self.assertEqual(shown, [*HOSTILE, *HOSTILE])
        self.assertIsNone(page.evaluate('window.broken || null'))
        self.assertEqual(page.evaluate('document.querySelectorAll("body script, img, #rows i, '
                                       'u").length'), 1, "the page's own script")
        self.assertEqual(page.console, [])

    def test_a_name_without_an_end_does_not_widen_the_page(self):
        routes = [scene.route('/' + 'x' * 400, 'echo'), scene.route('/b', 'echo')]
        for width in (360, 800, 1280):
            page = self.page(scene.figures(routes=routes), width=width)
            self.assertEqual(page.evaluate(OVERFLOW), [0])

    def test_the_end_of_the_connection_may_have_any_reason(self):
        page = self.page()
        self.stage.close(4000, '<b>bold</b>')
        page.wait_for('document.getElementById("notice-text").innerText.includes('
                      '"4000 “<b>bold</b>”")')


class Small(Shown):
    def test_nothing_sticks_out_at_360_pixels(self):
        for name, snapshot in (('serving', scene.figures(5)), ('draining', draining(5)),
                               ('many', many(5))):
            with self.subTest(name):
                page = self.page(snapshot, width=360, height=740)
                self.assertEqual(page.evaluate(OVERFLOW), [0])

    def test_nothing_sticks_out_at_any_width(self):
        page = self.page(draining(5))
        for width in (320, 480, 600, 768, 959, 961, 1024, 1920):
            with self.subTest(width):
                page.resize(width, 800)
                page.wait_for(f'innerWidth === {width}')
                self.assertEqual(page.evaluate(OVERFLOW), [0])

    def test_the_rows_are_cards_that_name_their_figures(self):
        page = self.page(width=360, height=740)
        self.assertEqual(page.evaluate(
            '[...document.querySelectorAll("#rows tr:nth-child(2) td")].map(cell =>'
            ' getComputedStyle(cell, "::before").content)'),
            ['none', '"Open"', '"Opened"', '"Messages"', '"Bytes"', '"Queue"', '"Closed"',
             '"Refused"', '"HTTP"'])
        tops = page.evaluate('[...document.querySelectorAll("#rows tr")].map(row =>'
                             ' row.getBoundingClientRect()).map(box => [box.left, box.width])')
        self.assertTrue(all(left < 20 and width > 320 for left, width in tops), tops)

    def test_what_a_finger_aims_at_is_large_enough(self):
        page = self.page(many(5), width=360, height=740)
        for width, height in page.evaluate(
                '[...document.querySelectorAll("button, input")].filter(one =>'
                ' one.checkVisibility()).map(one => one.getBoundingClientRect()).map(box =>'
                ' [box.width, box.height])'):
            self.assertGreaterEqual(min(width, height), 32)


class Seen(Shown):
    def test_all_text_has_enough_contrast_in_light_and_dark(self):
        full = [{'name': name, 'key': 'key', 'used': used, 'limit': 100}
                for name, used in (('a', 10), ('b', 85), ('c', 97))]
        for scheme in ('light', 'dark'):
            page = self.page(draining(1) | {'limits': full},
                             prefers_color_scheme=scheme)
            found = page.evaluate(CONTRASTS)
            self.stage.close()
            page.wait_for('!document.getElementById("notice").hidden')
            found += page.evaluate(CONTRASTS)
            self.setUp()
            self.assertGreater(len(found), 100)
            self.assertEqual([one for one in found if one[0] < 4.5], [], scheme)

    def test_dark_is_dark_and_light_is_light(self):
        back = 'getComputedStyle(document.body).backgroundColor.match(/\\d+/g)[0] * 1'
        self.assertLess(self.page(prefers_color_scheme='dark').evaluate(back), 60)
        self.assertGreater(self.page(prefers_color_scheme='light').evaluate(back), 200)

    def test_nothing_moves_for_those_who_do_not_want_it(self):
        page = self.page(draining(1), prefers_reduced_motion='reduce')
        self.assertEqual(page.evaluate('[...document.querySelectorAll("*")].filter(one =>'
                                       ' parseFloat(getComputedStyle(one).transitionDuration) > 0)'
                                       '.length'), 0)

    def test_how_near_a_limit_is_stands_there_in_words_too(self):
        limits = [{'name': name, 'key': 'key', 'used': used, 'limit': limit} for name, used, limit
                  in (('a', 80, 100), ('b', 81, 100), ('c', 95, 100), ('d', 96, 100),
                      ('e', 3, None), ('f', 1, 100000))]
        page = self.page(scene.figures(limits=limits))
        shown = page.evaluate('[...document.querySelectorAll("#limits li")].map(one =>'
                              ' [one.querySelector("b").innerText, one.dataset.tone])')
        self.assertEqual(shown, [['80 %', 'good'], ['81 % · filling up', 'warn'],
                                 ['95 % · filling up', 'warn'], ['96 % · almost full', 'bad'],
                                 ['no limit', 'good'], ['< 1 %', 'good']])

    def test_the_plots_cover_three_minutes(self):
        page = self.page(*[scene.figures(second) for second in range(240)])
        values = page.evaluate('tiles[0].series[0].values')
        self.assertEqual(len(values), 90)
        paths = page.evaluate('[...document.querySelectorAll("#tiles path")].map(one =>'
                              ' one.getAttribute("d").length)')
        self.assertGreater(min(paths), 300)
        self.assertIn('plots of the last 3 min', page.text())

    def test_what_went_wrong_is_red_only_while_it_is_new(self):
        def failed(second, times):
            return scene.figures(second, routes=[
                scene.route('/a', 'static', requests={'200': 5, '500': times})])
        page = self.page(failed(0, 7), failed(1, 7))
        name = 'document.querySelector("#rows td:last-child").className'
        self.assertNotIn('alarm', page.evaluate(name))
        self.stage.send(failed(2, 8))
        page.wait_for(f'{name}.includes("alarm")')
        page.evaluate('(() => { const now = performance.now.bind(performance);'
                      ' performance.now = () => now() + 61000; })()')
        self.stage.send(failed(3, 8))
        page.wait_for(f'!{name}.includes("alarm")')

    def test_a_server_that_falls_silent_is_noticed(self):
        page = self.page()
        page.evaluate('(() => { const now = performance.now.bind(performance);'
                      ' performance.now = () => now() + 12000; })()')
        page.wait_for('document.getElementById("link").innerText.startsWith("nothing new for 1")')
        self.assertEqual(page.evaluate('link.state'), 'live')

    def test_a_connection_over_which_nothing_comes_any_more_is_given_up_for_a_new_one(self):
        page = self.page()
        page.evaluate('(() => { window.first = link.socket; const now = performance.now.bind('
                      'performance); performance.now = () => now() + 40000; })()')
        page.wait_for('link.socket !== first && link.state === "live"')


class Gap(Shown):
    def echoed(self, second, messages):
        return scene.figures(second, routes=[scene.route('/echo', 'echo', received=messages)])

    def test_across_an_interruption_no_rate_is_counted(self):
        page = self.page(self.echoed(0, 0), self.echoed(1, 50))
        cell = 'document.querySelector("#rows td:nth-child(4) b").innerText'
        self.assertEqual(page.evaluate(cell), 'in 50/s')
        port = self.stage.port
        self.stage.close()
        page.wait_for('link.state === "waiting"')
        self.stage.stop()
        self.stage = scene.Stage(port)
        self.addCleanup(self.stage.stop)
        page.evaluate('connect()')
        page.wait_for('link.opened')
        self.stage.send(self.echoed(9, 10**9))
        page.wait_for(f'{cell} === "in –"')
        self.stage.send(self.echoed(10, 10**9 + 7))
        page.wait_for(f'{cell} === "in 7/s"')

    def test_counters_that_begin_again_give_no_rate(self):
        page = self.page(self.echoed(0, 1000), self.echoed(1, 5))
        cell = 'document.querySelector("#rows td:nth-child(4) b").innerText'
        self.assertEqual(page.evaluate(cell), 'in –')
        self.stage.send(self.echoed(2, 9))
        page.wait_for(f'{cell} === "in 4/s"')


class Keys(Shown):
    def test_tab_reaches_everything_that_can_be_used(self):
        page = self.page(draining(1))
        self.stage.close()
        page.wait_for('!document.getElementById("notice").hidden')
        reached = []
        while True:
            page.press('Tab')
            now = page.evaluate(FOCUSED)
            if not now or now in reached:
                break
            reached.append(now)
            outline = page.evaluate('getComputedStyle(document.activeElement).outlineStyle')
            self.assertEqual(outline, 'solid', now)
        wanted = page.evaluate('[...document.querySelectorAll("button, input, [tabindex]")].filter('
                               'one => one.checkVisibility()).length')
        self.assertEqual(len(reached), wanted, reached)
        self.assertGreaterEqual(wanted, 12)

    def order(self, page):
        return page.evaluate('[...document.querySelectorAll("#rows tr")].map(row =>'
                             ' row.cells[0].firstChild.textContent)')

    def focus(self, page, name):
        for _ in range(30):
            page.press('Tab')
            if page.evaluate(FOCUSED) == name:
                return
        self.fail(f'Tab never came to {name}')

    def test_enter_and_space_sort_and_say_so(self):
        page = self.page()
        before = self.order(page)
        self.focus(page, 'Open')
        head = 'document.activeElement.parentElement.getAttribute("aria-sort")'
        self.assertIsNone(page.evaluate(head))
        page.press('Enter')
        self.assertEqual(page.evaluate(head), 'descending')
        self.assertEqual(self.order(page)[:3], ['/chat/*', '/rooms/lobby', '/echo'])
        page.press(' ')
        self.assertEqual(page.evaluate(head), 'ascending')
        self.assertEqual(self.order(page)[:3], ['/status', '/echo', '/rooms/lobby'])
        self.focus(page, 'Route')
        page.press(' ')
        self.assertEqual(page.evaluate(head), 'ascending')
        self.assertEqual(page.evaluate('document.querySelectorAll("[aria-sort]").length'), 1)
        self.assertEqual(sorted(self.order(page)), sorted(before))
        self.assertEqual(self.order(page)[:2], ['(none)', '/'])
        self.assertEqual(before[:2], ['/', '/chat/*'])

    def test_the_order_stays_put_while_figures_change(self):
        page = self.page()
        page.evaluate('sortBy(columns[1])')
        before = self.order(page)
        routes = [scene.route('/chat/*', 'broadcast', open=1), scene.route('/echo', 'echo', open=9)]
        self.stage.send(scene.figures(3))
        page.wait_for(f'last.uptime_ms === {scene.figures(3)["uptime_ms"]}')
        self.assertEqual(self.order(page), before)
        self.stage.send(scene.figures(4, routes=routes))
        page.wait_for('document.querySelectorAll("#rows tr").length === 2')
        self.assertEqual(self.order(page), ['/echo', '/chat/*'])

    def test_the_state_is_announced_and_the_countdown_is_not(self):
        page = self.page(draining(1))
        roles = page.evaluate('["state", "left", "retry"].map(id => document.getElementById(id))'
                              '.map(one => one.getAttribute("role"))')
        self.assertEqual(roles, ['status', 'timer', None])
        bar = page.evaluate('["aria-valuemax", "aria-valuenow"].map(name =>'
                            ' document.getElementById("progress").getAttribute(name))')
        self.assertEqual(bar, ['1000', '812'])


def many(second, count=100):
    return scene.figures(second, routes=[scene.chat(f'/rooms/{n}/*', second, 8 + n, n)
                                         for n in range(count)])


class Many(Shown):
    def test_a_hundred_routes_are_found_by_a_part_of_their_name(self):
        page = self.page(many(0), many(1))
        page.evaluate('document.getElementById("filter").focus()')
        page.type('S/1')
        seen = ('[...document.querySelectorAll("#rows tr")].filter(row => row.checkVisibility())'
                '.length')
        page.wait_for(f'{seen} === 11')
        self.assertIn('11 of 100', page.text())
        self.stage.send(many(2))
        page.wait_for(f'last.uptime_ms === {many(2)["uptime_ms"]}')
        self.assertEqual(page.evaluate(seen), 11)

    def test_a_hundred_routes_are_cheap_to_draw(self):
        page = self.page(*[many(second) for second in range(10)])
        page.evaluate('window.spent = []; const really = showSnapshot; showSnapshot = one => {'
                      ' const began = performance.now(); really(one);'
                      ' document.body.getBoundingClientRect();'
                      ' spent.push(performance.now() - began); }')
        for second in range(10, 30):
            self.stage.send(many(second))
        page.wait_for('spent.length === 20')
        spent = sorted(page.evaluate('spent'))
        self.assertLess(spent[2], lastcall.scaled(60), 'milliseconds for one, on a quiet machine')

    def test_a_filter_stays_in_sight_while_it_hides_anything(self):
        page = self.page(many(0), many(1))
        page.evaluate('document.getElementById("filter").focus()')
        page.type('/rooms/3/')
        self.stage.send(many(2, 5))
        page.wait_for('document.getElementById("shown").innerText === "1 of 5"')
        self.assertTrue(page.evaluate('document.getElementById("filter").checkVisibility()'))

    def test_a_few_routes_need_no_filter(self):
        page = self.page(many(0, 5), many(1, 5))
        self.assertFalse(page.evaluate('document.getElementById("filter").checkVisibility()'))

    def test_of_those_that_are_still_there_it_says_how_many_are_not_shown(self):
        self.assertIn('Who is still here: 50 of 188', self.page(draining(1)).text())


class Weight(lastcall.Case):
    def test_the_page_is_one_small_file(self):
        with open(scene.PAGE, encoding='utf-8') as file:
            page = file.read()
        self.assertLess(len(page.encode()), 40000)
        for word in ('innerHTML', 'outerHTML', 'insertAdjacent', 'document.write', 'eval(',
                     'http://', 'https://', '@import', 'url('):
            rest = page.replace('http://www.w3.org/2000/svg', '')
            self.assertNotIn(word, rest)
