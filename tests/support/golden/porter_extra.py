#!/usr/bin/env python3
"""Write porter_extra.inc: made-up words that reach every rule of the stemmer, with the stems of NLTK's
PorterStemmer (default mode). Run with a Python that has nltk 3.10."""
import itertools
import os

from nltk.stem.porter import PorterStemmer

ENDINGS = """s es ies sses ss ied eed ed ing ated bling izing lling tting pping y ational tional enci anci izer
bli alli entli eli ousli ization ation ator alism iveness fulness ousness aliti iviti biliti fulli logi icate
ative alize iciti ical ful ness al ance ence er ic able ible ant ement ment ent sion tion ion ou ism ate iti
ous ive ize e ll le lle alally""".split()
STEMS = ["", "t", "at", "ee", "ye", "by", "rat", "yoy", "sky", "wex", "bow", "syzyg", "trabec", "opac", "x1a"]
WHOLE = """sky skies dying lying tying news innings inning outings outing cannings canning howe proceed exceed
succeed ties dies spied cried yyyy yyyyy aaaa 1234 12ed a1ing feed freed agreed plastered bled motoring
sing conflated troubled sized hopping tanned falling hissing fizzed failing filing happy sky enjoyed
generalizations oscillators controlling rolled probate rate cease relational""".split()

stemmer = PorterStemmer()
words = sorted({a + b for a, b in itertools.product(STEMS, ENDINGS)} | set(WHOLE))
here = os.path.dirname(os.path.abspath(__file__))
with open(os.path.join(here, "porter_extra.inc"), "w") as f:
    for w in words:
        if len(w) > 3:
            f.write('{"%s", "%s"},\n' % (w, stemmer.stem(w)))
