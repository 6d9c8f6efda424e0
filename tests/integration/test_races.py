#!/usr/bin/python3
"""Stopped while 200 clients do as they please, ten times; tests/races/run does it more often."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '../support'))

import accounts
import lastcall
import races

ROUNDS, GUESTS = 10, 200


class Races(lastcall.Case):
    def test_what_was_counted_is_what_happened_whatever_200_clients_do_during_the_stop(self):
        seed = os.environ.get('SEED') or str(int.from_bytes(os.urandom(3), 'big'))
        for number in range(ROUNDS):
            with self.subTest(again=f'tests/races/run --seed {seed} --round {number}'):
                played = races.Round(seed, number, GUESTS)
                played.play()
                self.assertEqual(accounts.check(played), [])


if __name__ == '__main__':
    lastcall.main()
