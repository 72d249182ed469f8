/**
 * doctor: looks at an installation and explains what is wrong and how to mend it. Layer 7.
 *
 * Every check is a function from what it looks at to findings; nothing here changes anything but a
 * small test object in the bucket, which is removed again.
 * Main types: Finding, and one check* function for each thing that is looked at.
 */
export * from "./blocks.ts";
export * from "./bucket_rights.ts";
export * from "./finding.ts";
export * from "./network.ts";
export * from "./prometheus.ts";
