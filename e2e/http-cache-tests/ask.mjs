// Asks the edge what a test asks a cache, and compares as the suite does.

import { httpDate } from 'http-cache-tests/lib/utils.mjs'
import { send } from './http.mjs'
import { LANGUAGES, WITHOUT_ORIGIN, requestHeader } from './mapping.mjs'
import { contentOf, contentOfLanguage, headersOf, pathOf } from './site.mjs'

// All that a request of the suite may say. What is not known is not taken for fulfilled.
const HEEDED = new Set(['request_method', 'request_headers', 'magic_ims', 'rfc850date', 'response_headers',
  'response_status', 'response_body', 'expected_type', 'expected_status', 'expected_response_headers',
  'expected_response_text'])
// `setup` tells only how a failure is called, and no answer here changes with time.
const WITHOUT_MEANING = new Set(['setup', 'setup_tests', 'pause_after'])
const OF_THE_ORIGIN = new Set(['expected_method', 'expected_request_headers'])

// What is wrong with the answers, in a sentence, or nothing.
export async function ask (edge, group, test, now) {
  const answers = []
  for (const [index, request] of test.requests.entries()) {
    checkKnown(test, request)
    const answer = await send(edge.port, edge.host, {
      method: request.request_method ?? 'GET',
      path: pathOf(test),
      headers: (request.request_headers ?? []).map(header => onTheWire(header, test, request, answers[0]))
    })
    const wrong = compare(group, test, request, answer, answers, now)
    if (wrong) return `answer ${index + 1}: ${wrong}`
    answers.push(answer)
  }
}

function checkKnown (test, request) {
  for (const key of Object.keys(request)) {
    const isLeftOut = OF_THE_ORIGIN.has(key) && WITHOUT_ORIGIN.includes(test.id)
    if (!HEEDED.has(key) && !WITHOUT_MEANING.has(key) && !isLeftOut) {
      throw new Error(`${test.id} has \`${key}\`, which the mapping does not know`)
    }
  }
}

function onTheWire (header, test, request, first) {
  const [name, value] = requestHeader(header)
  if (typeof value !== 'number') return [name, withOwnTag(value, first)]
  const format = request.rfc850date?.includes(name.toLowerCase()) ? 'rfc850' : undefined
  return [name, httpDate(dateBase(test, first), value, format)]
}

// The suite's tag is `"abcdef"`, the file's one is the edge's.
function withOwnTag (value, first) {
  return value.includes('abcdef') ? value.replaceAll('abcdef', first.headers.etag.slice(1, -1)) : value
}

// From when the suite's seconds count, so that its `Last-Modified` is the file's.
function dateBase (test, first) {
  const modified = test.requests[0].response_headers.find(([name]) => name === 'Last-Modified')
  if (!modified) return Date.parse(first.headers.date)
  return Date.parse(first.headers['last-modified']) - modified[1] * 1000
}

function compare (group, test, request, answer, earlier, now) {
  const first = earlier[0] ?? answer
  return statusProblem(request, answer) ??
    reuseProblem(request, answer, earlier) ??
    headerProblem(expectedHeaders(test, request, now, first), answer) ??
    varyProblem(group, test, answer) ??
    bodyProblem(group, test, request, answer, earlier)
}

function statusProblem (request, { status }) {
  const expected = request.expected_status ?? request.response_status?.[0] ?? 200
  if (status !== expected) return `status ${status}, not ${expected}`
}

// A stored answer is one that was sent before, as its tag tells, and needs nothing from the store.
function reuseProblem ({ expected_type: type }, { headers }, earlier) {
  const isKnown = earlier.some(other => other.headers.etag === headers.etag)
  if (type === 'not_cached') return isKnown ? 'the answer of another request was used' : undefined
  if (type !== 'cached') return undefined
  if (!isKnown) return 'not the answer that was sent before'
  if (headers['x-cache'] !== 'HIT') return `\`X-Cache: ${headers['x-cache']}\`, so the store was asked`
}

// What the test expects by name, and the headers of the origin, which have to arrive with each answer, also with a 304.
function expectedHeaders (test, request, now, first) {
  const named = (request.expected_response_headers ?? []).map(([name, value]) => [name, withOwnTag(value, first)])
  return [...named, ...headersOf(test, now)]
}

function headerProblem (expected, { headers }) {
  for (const [name, value] of expected) {
    const received = headers[name.toLowerCase()]
    const isThere = name === 'Vary' ? lists(received, value.split(', ')) : received === value
    if (!isThere) return `\`${name}: ${received}\`, not \`${value}\``
  }
}

// Where the suite's origin varies by `Foo`, the file has codings, and says so.
function varyProblem (group, test, { headers }) {
  const isAboutCodings = group.id === 'vary' && !(test.id in LANGUAGES)
  if (isAboutCodings && !lists(headers.vary, ['Accept-Encoding'])) return `\`Vary: ${headers.vary}\` lacks Accept-Encoding`
}

function lists (received = '', names) {
  const there = received.toLowerCase().split(',').map(name => name.trim())
  return names.every(name => there.includes(name.toLowerCase()))
}

function bodyProblem (group, test, request, { status, body }, earlier) {
  const isEmpty = status === 304 || request.request_method === 'HEAD'
  const expected = isEmpty ? [''] : expectedBodies(group, test, request, earlier.length === 0)
  const shown = text => JSON.stringify(text.slice(0, 80))
  if (!expected.includes(body)) return `body ${shown(body)}, not ${shown(expected[0])}`
}

// The origin's variants have bodies of their own. Here they are one content in several codings, or, by language, another
// file: the first answer has to be the one that its language asks for, whether a later one is the same its tag tells.
function expectedBodies (group, test, request, isFirst) {
  const content = contentOf(group, test)
  if (group.id !== 'vary') return [request.expected_response_text ?? request.response_body ?? content]
  if (!(test.id in LANGUAGES)) return [content]
  const both = [content, contentOfLanguage(group, test)]
  return isFirst ? [both[isOtherLanguageFirst(test) ? 1 : 0]] : both
}

function isOtherLanguageFirst (test) {
  const [[, languages]] = test.requests[0].request_headers
  return languages.startsWith(LANGUAGES[test.id])
}
