/**
 * shipper: uploads finished local blocks once, with external labels. Layer 6. Main type: Shipper.
 */
export * from "./meta_file.ts";
export * from "./metrics.ts";
export * from "./progress.ts";
export * from "./shipper.ts";
