"""Texts that a CLIP tokenizer gets wrong when it is nearly right. Only characters of Unicode 13 and older."""

WORDS = ["a photo of a <rex> dog", "a photo of a cat", "red fox", "watercolour", "zyzzyva", "x" * 30, "ab" * 120,
         "the " * 100, "a" * 500, "supercalifragilisticexpialidocious", "antidisestablishmentarianism",
         "mountains", "Mountains", "MOUNTAINS", "mOuNtAiNs", "the", "the the", "thethe", "t", "", " ", "   "]

SPACES = ["a photo  of\n a CAT!!", "\ta\tb\t", "a\r\nb", " leading", "trailing ", "a\u00a0b", "a\u2003b", "a\u3000b",
          "a\u2028b", "a\u2029b", "a\u200bb", "a\u1680b", "a\u202fb", "a\u205fb", "a\u180eb", "a\u2060b", "a\ufeffb",
          "\ufeffa photo", "a\x0bb", "a\x0cb", "a\x1cb", "a\x1fb", "a\x85b", "a\x01b\x02c", "a\x07 b", "a\x7fb",
          "a\x9fb", "a\u00adb", "a\u200db", "a\u200eb\u200fc", "a\u2066b\u2069", "a\ufffdb", "a\ue000b", "\x1b[31mred"]

CONTRACTIONS = ["it's", "don't", "I'LL GO", "we've they're i'm he'd she'll", "IT'S", "it\u2019s", "'s", "'S", "'t'm",
                "'re're", "''s", "'sun", "rock'n'roll", "o'clock", "the birds' nest", "l'eau d'or", "'", "''", "'''",
                "y'all'd've", "it 's", "it' s", "'llama", "'very", "'mouse", "'dog", "a's b't c'd"]

NUMBERS = ["it's 2024", "1234567890", "3.14159", "1,000,000", "x86_64", "3d", "4k uhd", "no.7", "1st 2nd 3rd", "-42",
           "10%", "$5", "\u00bd", "\u00b2\u00b3", "\u2460\u2461", "\u0661\u0662\u0663", "\u096a", "\u2167", "\u3007",
           "\uff11\uff12", "\U0001d7d8", "\u0bf0", "1e-3", "0x1F", "2\u03c0r"]

MARKS = ["hello,world", "rare-word_x", "a*b", "...", "....", "!!!", "?!", "!", "a!", "! a", "wow! nice!", "a - b", "--",
         "-- a --", "(a)", "[a](b)", "{a}", "a/b\\c", "a&b", "&amp; &lt;rex&gt;", "<a>", "< rex >", "#1", "@home",
         "a+b=c", "\"quoted\"", "\u201cquoted\u201d", "\u2026", "a\u2014b", "\u00ab a \u00bb", "\u00bfqu\u00e9?", "~`^|",
         "100\u00b0", "\u20ac20", "\u00a9 \u00ae \u2122", "a\u00b7b", "\u2190\u2191\u2192", "_", "__a__", ";;;"]

ACCENTS = ["caf\u00e9", "cafe\u0301", "CAF\u00c9", "CAFE\u0301", "na\u00efve", "nai\u0308ve", "cr\u00e8me br\u00fbl\u00e9e",
           "Se\u00f1or", "\u00c5ngstr\u00f6m", "A\u030angstrom", "\u212bngstrom", "\u212a", "\u2126", "stra\u00dfe",
           "STRASSE", "\u1e9e", "\u0130stanbul", "I\u0307stanbul", "\u0131", "\u00c6on \u0152uvre \u00d8re",
           "\ufb01sh \ufb02ag", "\u01c5", "e\u0301\u0301", "q\u0307\u0323", "q\u0323\u0307", "\u0301a", "\u1e0d\u0307",
           "\u0344", "\u0958", "\u0178", "\u017fun", "it'\u017f", "\u00b5m", "\u0149"]

SCRIPTS = ["\u039f\u0394\u039f\u03a3", "\u039f\u03a3 \u03a3\u039f", "\u03a3", "\u03ac\u03b1\u0301", "\u041c\u043e\u0441\u043a\u0432\u0430",
           "\u0419\u0438\u0306", "\u05e9\u05dc\u05d5\u05dd", "\u05e9\u05bc\u05c1", "\u0645\u0631\u062d\u0628\u0627",
           "\u0645\u0651", "\u0939\u093f\u0928\u094d\u0926\u0940", "\u0e44\u0e17\u0e22", "\u0e01\u0e34\u0e19",
           "\u732b", "a\u732bb", "\u732b\u72d7", "\u306d\u3053", "\u30cd\u30b3", "\u30cf\u309a", "\u30ac", "\uff76\uff9e",
           "\ud55c\uad6d\uc5b4", "\u1112\u1161\u11ab", "\u1100\u1161\u11a8", "\uf900", "\U0002f800", "\U00020000a",
           "\u3400\u4dbf", "\u4e00\u9fa5", "\u3005", "\u13a0\u13b0", "\uab70", "\u10d0\u10d1", "\u1c90", "\u0531\u0587",
           "\U00010400", "\U0001d400\U0001d41a", "\uff21\uff22", "\u24b6", "\u16a0", "\U0001e900"]

EMOJI = ["\U0001f600", "\U0001f600\U0001f600", "a\U0001f600b", "\U0001f468\u200d\U0001f469\u200d\U0001f467",
         "\U0001f44d\U0001f3fd", "\u2764\ufe0f", "\u2764", "1\ufe0f\u20e3", "\U0001f1e9\U0001f1ea", "\U0001f98a fox",
         "\U0001f3f4\U000e0067\U000e0062\U000e007f", "\u263a!"]

ADDED = ["<rex>", "<rex><rex>", "<rex> <rex>", "a<rex>b", "cat<rex>", "<rex>cat", "<rex>'s toy", "<rex>!", "!<rex>!",
         "<REX>", "<Rex>", "<rex", "rex>", "<<rex>>", "<rex><rex", "<re<rex>x>", "< rex>", "<rex>\u0301", "caf<rex>\u00e9",
         "\u732b<rex>\u732b", "<rex>1<rex>2", "a\n<rex>\nb", "<rex>" * 90, "the <rex> " * 40, "<rex2>", "<re\u0301x>",
         "<r\u200dex>", "it<rex>'s", "don<rex>'t", "<|startoftext|>", "<|endoftext|>", "a<|endoftext|>b",
         "<|startoftext|> a <|endoftext|>", "<|EndOfText|>", "a <|StartOfText|>b", "<|endoftext|", "<|endoftext|><rex>",
         "<| endoftext |>", "<|endoftext|>|>"]

SENTENCES = ["a photo of the dog on the beach, at sunset; the boat's sail is torn, and they've lost the blue umbrella",
             "A PAINTING OF A CASTLE ON A HILL, IN WATERCOLOUR STYLE (HIGH CONTRAST) --AR 16:9",
             "(masterpiece:1.2), best quality, [<rex>|dog], 8k, ((ultra-detailed)), trending...",
             "un caf\u00e9 \u00e0 paris, le ch\u00e2teau d'\u00c9l\u00e9onore, na\u00efve art, l'\u0153uvre",
             "\u4e00\u53ea\u7ea2\u8272\u7684\u72d0\u72f8 in the forest \U0001f98a\U0001f332, \u00bd moon"]

STRINGS = WORDS + SPACES + CONTRACTIONS + NUMBERS + MARKS + ACCENTS + SCRIPTS + EMOJI + ADDED + SENTENCES
assert len(set(STRINGS)) == len(STRINGS), sorted(s for s in set(STRINGS) if STRINGS.count(s) > 1)
