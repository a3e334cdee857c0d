/** This library's version, as `package.json` has it; a test compares the two. */
export const DELTAIC_VERSION = '0.1.0'

/** Who wrote a commit, in the form that Delta's own writers use. */
export const ENGINE_INFO = `deltaic/${DELTAIC_VERSION}`
