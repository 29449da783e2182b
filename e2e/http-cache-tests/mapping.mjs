// What of the suite a static host can be asked, and how. A test of these groups that no table here names is asked as it
// stands: its origin's first answer is a deployed file, the headers of that answer are rules of `_headers`.

export const GROUPS = ['conditional-inm', 'conditional-lm', 'partial', 'updateHEAD', 'vary', 'vary-parse']

// Why a test is not asked, and which ones are not.
export const NOT_APPLICABLE = [
  {
    why: 'is about what a cache asks its origin: conditions that it makes or passes on, parts that it completes. The ' +
      'edge fetches an object whole, by the hash of its content, checks it, and has nothing to ask about it again',
    ids: [
      'conditional-etag-vary-headers', 'conditional-etag-vary-headers-mismatch', 'conditional-etag-strong-generate',
      'conditional-etag-weak-generate-weak', 'conditional-etag-strong-generate-unquoted', 'conditional-etag-forward',
      'conditional-etag-forward-unquoted', 'conditional-lm-stale', 'partial-store-partial-complete', 'head-writethrough'
    ]
  },
  {
    why: 'needs an origin that sends a tag without quotes or with letters beyond ASCII. The edge makes the tags, from ' +
      'SHA-256: always quoted, always hexadecimal',
    ids: [
      'conditional-etag-strong-respond-obs-text', 'conditional-etag-unquoted-respond-unquoted',
      'conditional-etag-unquoted-respond-quoted'
    ]
  },
  {
    why: 'needs an origin that answers differently the second time. A deployment never changes, and a new one is ' +
      'followed by an event, not by asking',
    ids: ['partial-use-headers', 'head-200-freshness-update', 'head-200-update', 'head-410-update']
  },
  {
    why: 'wants a cache to ask its origin again because of a `Vary` that the file does not depend on. A rule may set ' +
      'such a `Vary`, for caches in front; the edge is itself the origin of this answer, and it has one file for everybody',
    ids: [
      'vary-3-order', 'vary-star', 'vary-syntax-star', 'vary-syntax-star-star', 'vary-syntax-star-star-lines',
      'vary-syntax-empty-star', 'vary-syntax-empty-star-lines', 'vary-syntax-star-foo', 'vary-syntax-foo-star'
    ]
  }
]

// Asked, and answered otherwise than the suite hopes, on purpose; `instead` is what it finds. None of these is a requirement
// of the suite. Another answer, even the hoped one, is a failure: then this table is out of date.
export const OTHERWISE = {
  'conditional-etag-quoted-respond-unquoted': {
    instead: 'answer 2: status 200, not 304',
    why: 'an unquoted `If-None-Match` is malformed and names no tag (RFC 9110 §8.8.3): 200'
  },
  'conditional-lm-fresh-no-lm': {
    instead: 'answer 2: status 200, not 304',
    why: 'the date that is asked with is older than the content: 200, as RFC 9111 §4.3.2 has it. By the results that come ' +
      'with the suite so do nginx, Varnish, Squid and Fastly'
  },
  'vary-normalise-lang-order': {
    instead: 'answer 2: not the answer that was sent before',
    why: 'of two languages that are liked equally the first one counts, which RFC 9110 §12.5.4 allows'
  },
  'vary-normalise-lang-select': {
    instead: 'answer 2: not the answer that was sent before',
    why: '`Language=` holds for the one language that is liked best, as Netlify compares it; the second-best is not ' +
      'looked for'
  }
}

// What the deployed file holds where it is not the body of the origin's first answer. There the origin sends five bytes and
// calls them `bytes 4-9/10`, which are six. The bodies that the suite expects are those of a file of nine bytes.
export const FILES = Object.fromEntries([
  'partial-store-partial-reuse-partial', 'partial-store-partial-reuse-partial-byterange',
  'partial-store-partial-reuse-partial-absent', 'partial-store-partial-reuse-partial-suffix'
].map(id => [id, 'abcd01234']))

// Tests that also expect something of the request to the origin. That part is left out, for the first reason above.
export const WITHOUT_ORIGIN = ['partial-store-partial-reuse-partial', 'head-200-retain']

// What a visitor gets can depend on `Accept-Language` through rules, here: this language gets another file.
export const LANGUAGES = {
  'vary-normalise-lang-order': 'en',
  'vary-normalise-lang-case': 'en',
  'vary-normalise-lang-space': 'en',
  'vary-normalise-lang-select': 'de'
}

// The origin's answer depends on `Foo`, a file's on `Accept-Encoding`. In the order in which lists have them, the coding
// that the edge prefers is the second one, so that one who reads only the first line of two is found out.
const CODINGS = { 1: 'gzip', 2: 'br' }

export function requestHeader ([name, value]) {
  if (name !== 'Foo') return [name, value]
  return ['Accept-Encoding', value.replace(/\d/g, digit => CODINGS[digit])]
}

// The origin's headers that a rule of the site sets. `Date`, the validators and the range are the edge's own, and so is the
// name in `Vary` that stands for `Accept-Encoding`.
export function ruleHeaders (headers) {
  const own = ['date', 'etag', 'last-modified', 'content-range']
  return headers.flatMap(([name, value]) => {
    if (own.includes(name.toLowerCase())) return []
    if (name !== 'Vary') return [[name, value]]
    const others = value.split(', ').filter(field => field !== 'Foo')
    return others.length > 0 ? [[name, others.join(', ')]] : []
  })
}
