// The results as text for a terminal, and as a part of a page of docs/.

import { readFile, writeFile } from 'node:fs/promises'

const BEGIN = '<!-- results:begin -->\n'
const END = '<!-- results:end -->\n'

export function count (results) {
  const counts = { pass: 0, fail: 0, otherwise: 0, 'n. a.': 0 }
  for (const { result } of results) counts[result] += 1
  return counts
}

function sentence (results) {
  const counts = count(results)
  return `${counts.pass} pass, ${counts.fail} fail, ${counts.otherwise} answered otherwise on purpose, ` +
    `${counts['n. a.']} not applicable`
}

// Why a test does not apply is long, and there are few reasons: a row has the reason's number.
function shown (note = '', reasons) {
  return reasons.includes(note) ? `reason ${reasons.indexOf(note) + 1}` : note
}

function listed (reasons) {
  return ['Not applicable is what', '', ...reasons.map((reason, index) => `${index + 1}. ${reason}.`)]
}

export function printed (results, reasons) {
  const rows = results.map(({ test, result, note }) => `${result.padEnd(10)} ${test.id.padEnd(46)} ${shown(note, reasons)}`)
  return [...rows.map(row => row.trimEnd()), '', ...listed(reasons), '', sentence(results)].join('\n')
}

export async function paste (file, versions, results, reasons) {
  const text = await readFile(file, 'utf8')
  const [before, rest] = text.split(BEGIN)
  const after = rest?.split(END)[1]
  if (after === undefined) throw new Error(`${file} has no place for the results`)
  await writeFile(file, before + BEGIN + markdown(versions, results, reasons) + END + after)
}

function markdown (versions, results, reasons) {
  const lines = [`${versions}: **${sentence(results)}**.`, '']
  for (const group of new Set(results.map(({ group }) => group))) {
    lines.push(`### ${group.name} (\`${group.id}\`)`, '', '| test | kind | result | |', '|---|---|---|---|')
    for (const { test, result, note } of results.filter(row => row.group === group)) {
      lines.push(`| \`${test.id}\` | ${test.kind ?? 'required'} | ${result} | ${shown(note, reasons)} |`)
    }
    lines.push('')
  }
  return [...lines, ...listed(reasons)].join('\n') + '\n'
}
