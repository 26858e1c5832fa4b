import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { execa } from 'execa';
import { ensureServers } from '../../scripts/setup/tools.ts';

/** An element as a reader of XML sees it. */
export interface XmlElement {
  readonly name: string;
  readonly attributes: Readonly<Record<string, string>>;
  readonly text: string;
  readonly children: readonly XmlElement[];
}

const SCHEMA = fileURLToPath(new URL('../fixtures/junit-10.xsd', import.meta.url));

const READER = `
import json, sys
from lxml import etree

schema = etree.XMLSchema(etree.parse(sys.argv[1]))

def told(element):
    return {
        "name": element.tag,
        "attributes": dict(element.attrib),
        "text": element.text or "",
        "children": [told(child) for child in element],
    }

roots = []
for text in json.load(sys.stdin):
    root = etree.fromstring(text.encode())
    schema.assertValid(root)
    roots.append(told(root))
json.dump(roots, sys.stdout)
`;

/** Documents as libxml reads them. @throws Error for one that is no XML, or not what Jenkins' schema of JUnit takes */
export async function readJunit(texts: readonly string[]): Promise<readonly XmlElement[]> {
  const packages = await ensureServers();
  const { stdout } = await execa('python3', ['-c', READER, join(SCHEMA)], {
    input: JSON.stringify(texts),
    env: { PYTHONPATH: packages },
  });
  return JSON.parse(stdout) as readonly XmlElement[];
}
