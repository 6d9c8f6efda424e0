"""What has been tried, on servers that compared badly, to pass for a page that may connect; and
how right pages write themselves. Values of an Origin header; bytes where they are no UTF-8.
"""
EXACT = 'https://example.org, http://localhost:3000, https://[2001:db8::1]:8443'
BELOW = 'https://*.example.org'

# By EXACT.
NOT_EXACT = [
    # a name that begins, ends or goes on like a right one
    'https://evil.com', 'https://evilexample.org', 'https://evil-example.org',
    'https://example.org.evil.com', 'https://example.orgevil.com', 'https://example.org-evil.com',
    'https://example.or', 'https://xample.org', 'https://example-org', 'https://exampleXorg',
    'https://www.example.org', 'https://org', 'http://notlocalhost:3000',
    'http://localhost.evil.com:3000', 'https://exarnple.org', 'https://localhost:3000',
    # another scheme, or none
    'http://example.org', 'http://example.org:443', 'ws://example.org', 'wss://example.org',
    'httpss://example.org', 'xhttps://example.org', 'ftp://example.org', 'file://example.org',
    'file://', 'file:///etc/passwd', 'chrome-extension://example.org', '//example.org',
    '://example.org', 'example.org', 'example.org:443', 'https:example.org', 'https:/example.org',
    'https:\\\\example.org', 'https//example.org', 'https ://example.org', 'about:blank',
    'data:text/html,https://example.org', 'javascript:alert(1)//https://example.org',
    'blob:https://example.org/0', 'view-source:https://example.org', 'https://https://example.org',
    # another port
    'https://example.org:80', 'https://example.org:44', 'https://example.org:4430',
    'https://example.org:0443', 'https://example.org:65979', 'https://example.org:4294967739',
    'https://example.org:0', 'https://example.org:-443', 'https://example.org:+443',
    'https://example.org:', 'https://example.org: 443', 'https://example.org:443:443',
    'https://example.org:443.evil.com', 'https://example.org:0x1bb', 'https://example.org:https',
    'http://localhost', 'http://localhost:30000', 'http://localhost:3001',
    # a user, a path, a query, a fragment
    'https://example.org@evil.com', 'https://example.org:443@evil.com',
    'https://example.org%40evil.com', 'https://evil.com@example.org', 'https://@example.org',
    'https://:@example.org', 'https://example.org/', 'https://example.org/chat',
    'https://example.org?', 'https://example.org?.evil.com', 'https://example.org#',
    'https://example.org#.evil.com', 'https://evil.com/https://example.org',
    'https://evil.com?https://example.org', 'https://evil.com#https://example.org',
    'https://example.org\\', 'https://example.org\\.evil.com', 'https://example.org\\@evil.com',
    'https://evil.com\\example.org', 'https:///example.org', 'https:////example.org',
    # bytes that some reader drops, ends at or folds
    'https://example.org x', 'https://example.org%00', 'https://example.org%00.evil.com',
    'https://example.org%20', 'https://example.org%2eevil.com', 'https://example%2eorg',
    'https://example.org%0d%0a', 'https://%65xample.org', 'https://example。org',
    'https://example．org', 'https://ｅxample.org', 'https://еxample.org',
    'https://example.org\u200b', 'https://ex\u00adample.org', 'https://example.org\u00a0',
    '\ufeffhttps://example.org', b'https://example.org\xff', b'https://example\xc0\xaeorg',
    b'\xffhttps://example.org', b'https://example.org\x80.evil.com', 'https://xn--xample-2of.org',
    'https://example.org`.evil.com', 'https://example.org!.evil.com',
    'https://example.org$.evil.com', 'https://example.org&.evil.com',
    "https://example.org'.evil.com", 'https://example.org".evil.com',
    'https://example.org(.evil.com', 'https://example.org*.evil.com',
    'https://example.org,.evil.com', 'https://example.org;.evil.com',
    'https://example.org|.evil.com', 'https://example.org{.evil.com',
    # dots
    'https://example.org.', 'https://example.org..', 'https://.example.org',
    'https://example..org', 'https://.', 'https://example.org.:443',
    # more than one, none, null, words of the configuration
    'https://example.org https://evil.com', 'https://evil.com https://example.org',
    'https://example.org, https://evil.com', 'https://evil.com,https://example.org',
    'https://example.org https://example.org', '', 'null', 'Null', 'undefined', '*', 'same',
    'https://', 'https://:443', 'https', 'https://*', '"https://example.org"',
    '<https://example.org>',
    # IPv6
    'https://[2001:db8::1]', 'https://[2001:db8::2]:8443', 'https://2001:db8::1:8443',
    'https://[2001:db8::1%25eth0]:8443', 'https://[2001:db8::1]8443', 'https://[2001:db8::1',
    'https://[2001:db8::1].evil.com:8443', 'https://[2001:db8::1]@evil.com:8443',
    'https://[[2001:db8::1]]:8443', 'https://[]:8443', 'https://[', 'https://[example.org]',
    # long ones
    'https://' + 'a' * 300 + '.example.org', 'https://example.org' + '/' * 9000,
    'https://' + 'a.' * 6000 + 'example.org', 'https://example.org:' + '0' * 5000 + '443',
    'h' * 12000 + 'ttps://example.org',
]

# By BELOW.
NOT_BELOW = [
    'https://example.org', 'https://.example.org', 'https://a..example.org',
    'https://*.example.org', 'https://evilexample.org', 'https://evil-example.org',
    'https://a.evilexample.org', 'https://a.example.org.evil.com', 'https://a.example.org.',
    'https://a.example.orgx', 'http://a.example.org', 'https://a.example.org:8443',
    'https://evil.com/.example.org', 'https://evil.com?.example.org',
    'https://evil.com#.example.org', 'https://evil.com\\.example.org',
    'https://evil.com@a.example.org', 'https://evil.com:443.example.org',
    'https://evil.com%00.example.org', 'https://evil.com%23.example.org',
    'https://evil.com .example.org', 'https://evil.com,https://a.example.org',
    'https://evil.com;.example.org', 'https://evil.com&.example.org', 'https://ä.example.org',
    b'https://evil.com\xff.example.org', 'https://[::1].example.org', 'https://%61.example.org',
    'https://' + 'a' * 64 + '.example.org', 'null', '',
]

# The default, `same`: Host, Origin.
NOT_SAME = [
    ('example.org', 'https://evil.com'), ('example.org', 'https://example.org.evil.com'),
    ('example.org', 'https://evilexample.org'), ('example.org', 'https://www.example.org'),
    ('www.example.org', 'https://example.org'), ('example.org', 'https://example.org:8443'),
    ('example.org:80', 'https://example.org'), ('example.org:443', 'http://example.org'),
    ('example.org:8080', 'http://example.org'), ('example.org', 'http://example.org:8080'),
    ('example.org:8080', 'http://example.org:8081'), ('null', 'null'), ('example.org', 'null'),
    ('example.org', ''), ('example.org', 'example.org'), ('example.org', '//example.org'),
    ('example.org', 'file://example.org'), ('example.org', 'ws://example.org'),
    ('example.org', 'chrome-extension://example.org'), ('example.org', 'http://example.org.'),
    ('example.org.', 'http://example.org'), ('example.org.', 'http://example.org.'),
    ('example.org:', 'http://example.org'), ('example.org:080', 'http://example.org'),
    ('*.example.org', 'http://a.example.org'), ('*', 'https://evil.com'), ('same', 'same'),
    ('ä.org', 'http://ä.org'), (b'\xff', b'http://\xff'), ('%41.org', 'http://%41.org'),
    ('[::1]', 'http://[::2]'), ('::1', 'http://[::1]'), ('[::1', 'http://[::1'),
    ('127.0.0.1', 'http://localhost'), ('127.0.0.1', 'http://[::ffff:127.0.0.1]'),
    ('2130706433', 'http://2130706433'), ('127.1', 'http://127.1'),
    ('a' * 300, 'http://' + 'a' * 300), ('a.' * 3000 + 'org', 'http://' + 'a.' * 3000 + 'org'),
]

# The same where the Host is none.
NO_HOST = [
    ('user@example.org', 'http://example.org'), ('user@example.org', 'http://user@example.org'),
    ('example.org/', 'http://example.org/'), ('example.org, evil.com', 'http://example.org'),
    ('example.org, evil.com', 'http://evil.com'), ('a b', 'http://a b'),
]

# (what `origins` says, Host, Origin)
RIGHT = [
    (EXACT, 'x', 'https://example.org'), (EXACT, 'x', 'https://example.org:443'),
    (EXACT, 'x', 'HTTPS://Example.ORG'), (EXACT, 'x', 'http://localhost:3000'),
    (EXACT, 'x', 'https://[2001:db8::1]:8443'), (EXACT, 'x', '    https://example.org'),
    (EXACT, 'x', 'https://[2001:DB8:0:0:0:0:0:1]:8443'),
    (BELOW, 'x', 'https://a.example.org'), (BELOW, 'x', 'https://a.b.c.example.org:443'),
    (BELOW, 'x', 'https://A.EXAMPLE.ORG'),
    ('same', 'example.org', 'http://example.org'), ('same', 'example.org', 'https://example.org'),
    ('same', 'example.org:443', 'https://example.org'),
    ('same', 'EXAMPLE.org', 'http://example.org'),
    ('same', 'example.org:80', 'http://example.org'),
    ('same', 'example.org:8080', 'http://example.org:8080'),
    ('same', '127.0.0.1:8080', 'http://127.0.0.1:8080'),
    ('same', '[0:0:0:0:0:0:0:1]:8080', 'http://[::1]:8080'),
    ('*', 'example.org', 'https://evil.com'), ('*', 'x', 'null'), ('*', 'x', ''),
    ('*', 'x', b'\xff\xfe, garbage'), ('*', 'x', 'https://' + 'a' * 9000),
    ('null', 'x', 'null'), ('same, https://a.example', 'example.org', 'http://example.org'),
    ('same, https://a.example', 'example.org', 'https://a.example'),
]
