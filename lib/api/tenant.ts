/** Whose request it is: by client certificate, header or default; and what that tenant may see. */
import type { Context } from "hono";
import { MnemeError } from "../base/mod.ts";
import type { Matcher } from "../model/mod.ts";
import { type Engine, printExpr } from "../promql/mod.ts";
import { enforceMatchers, enforceTenant } from "../query/mod.ts";

/** Fields of a client certificate that can name a tenant. */
export type CertificateField = "organization" | "organizationalUnit" | "commonName";

/** The subject of a client's certificate. */
export type CertificateSubject = Readonly<Partial<Record<CertificateField, string>>>;

/** How tenants are told apart. */
export interface TenantSettings {
  readonly header: string;
  readonly fallback: string;
  /** The label that holds a series' tenant. */
  readonly label: string;
  /** Every question is answered from the tenant's series only. */
  readonly enforced: boolean;
  /** The certificate's field that names the tenant, instead of any header; "" = none. */
  readonly certificateField: CertificateField | "";
  /** Subject of the certificate of a request's client; what the server tells, when absent. */
  readonly certificate?: (c: Context) => CertificateSubject | undefined;
}

/** Header that holds whatever `--query.tenant-header` says. */
const DEFAULT_HEADER = "THANOS-TENANT";

/** The tenants of one API. */
export class Tenants {
  readonly #settings: TenantSettings;
  constructor(settings: TenantSettings) {
    this.#settings = settings;
  }

  get enforced(): boolean {
    return this.#settings.enforced;
  }

  /** The tenant of a request; throws bad_data. */
  of(c: Context): string {
    const { header, fallback, certificateField, certificate } = this.#settings;
    if (certificateField !== "") {
      const subject = (certificate ?? shownTo)(c);
      if (subject === undefined) {
        throw new MnemeError("bad_data", "no client certificate to read the tenant from");
      }
      const tenant = subject[certificateField] ?? "";
      if (tenant === "") {
        throw new MnemeError(
          "bad_data",
          `could not get required certificate field ${certificateField} from client cert`,
        );
      }
      return checked(tenant);
    }
    return checked(c.req.header(header) || c.req.header(DEFAULT_HEADER) || fallback);
  }

  /** The query as this tenant may ask it; throws ParseError for one that is none. */
  query(engine: Engine, query: string, tenant: string): string {
    const { enforced, label } = this.#settings;
    return enforced ? printExpr(enforceTenant(engine.parse(query), label, tenant)) : query;
  }

  /** Selectors as this tenant may ask them; without any, the tenant's own. */
  selectors(sets: readonly (readonly Matcher[])[], tenant: string): (readonly Matcher[])[] {
    const { enforced, label } = this.#settings;
    if (!enforced) return [...sets];
    return (sets.length === 0 ? [[]] : sets).map((set) => enforceMatchers(set, label, tenant));
  }
}

/** What the server has put beside the request. */
function shownTo(c: Context): CertificateSubject | undefined {
  return (c.env as { readonly client?: CertificateSubject } | undefined)?.client;
}

/** A tenant's name becomes part of paths elsewhere. */
function checked(tenant: string): string {
  if (tenant.includes("/") || tenant === "." || tenant === "..") {
    throw new MnemeError("bad_data", "tenant name not valid");
  }
  return tenant;
}
