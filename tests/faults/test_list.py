"""The list of what is made to fail is whole."""
import re
import subprocess

import lastcall
from faults import ERRORS, LEFT_OUT

ALIASES = {'__asprintf_chk': 'asprintf', '__fprintf_chk': 'fprintf'}


class List(lastcall.Case):
    def test_each_function_that_our_objects_call_is_made_to_fail_or_it_is_said_why_not(self):
        symbols = subprocess.run(['nm', '--undefined-only', '--dynamic', lastcall.PROGRAM],
                                 capture_output=True, text=True, check=True).stdout
        called = {line.split()[-1].split('@')[0] for line in symbols.splitlines()}
        for name in sorted(called):
            name = ALIASES.get(name, name)
            left_out = any(re.fullmatch(pattern, name) for pattern, _ in LEFT_OUT)
            self.assertTrue(name in ERRORS or left_out, f'{name} is neither in ERRORS nor LEFT_OUT')
