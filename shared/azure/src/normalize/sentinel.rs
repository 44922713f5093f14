//! Microsoft Sentinel: incidents, as its API and its Logic Apps trigger give them, with the alerts they hold, and its entities,
//! one kind of which is an alert (learn.microsoft.com, rest/api/securityinsights; connectors/azuresentinel).

use stanch_core::cloud::Text;
use stanch_core::json::Json;
use stanch_core::normalize::{NoFinding, Reading};

use super::alert;
use super::resource_type;

pub(super) const INCIDENT: NoFinding = NoFinding {
    rule: "incident-without-alerts",
    what: "an incident that holds no alerts",
    shape: "type `Microsoft.SecurityInsights/incidents`, `incidentNumber` or `#microsoft.graph.security.incident`, and no `alerts` in it",
    why: "it groups alerts, which are told apart from it; ids alone do not say what they are about",
};
pub(super) const OTHER: NoFinding = NoFinding {
    rule: "sentinel-resource",
    what: "a resource of Sentinel's that is neither incident nor alert",
    shape: "another type below `Microsoft.SecurityInsights`, entities of any kind but `SecurityAlert` included",
    why: "a person, an address, a rule or a comment is no fault",
};

/// Reads an incident, an entity or the answer that lists an incident's entities. False for anything else.
pub(super) fn read<'a>(fields: Json<'_, 'a>, reading: &mut Reading<'a>) -> bool {
    let held = fields.get("object");
    if held.is_object()
        && ["objectSchemaType", "SchemaType", "objectEventType", "workspaceInfo"].iter().any(|name| fields.get(name).is_present())
    {
        incident(held, reading);
        return true;
    }
    let entities = fields.get("entities");
    if entities.is_list() && fields.get("metaData").is_list() {
        entities.items().for_each(|entity| one(entity, Vec::new(), reading));
        return true;
    }
    let kind = resource_type(fields).unwrap_or_default().to_ascii_lowercase();
    let numbered = fields.path(&["properties", "incidentNumber"]).is_present();
    match kind.strip_prefix("microsoft.securityinsights/") {
        Some("incidents") => incident(fields, reading),
        Some("entities") => one(fields, Vec::new(), reading),
        Some(_) => reading.passed_over.push(&OTHER),
        None if numbered => incident(fields, reading),
        // A row of the table `SecurityIncident` names its alerts by id only.
        None if fields.get("IncidentName").is_present() && fields.get("IncidentNumber").is_present() => reading.passed_over.push(&INCIDENT),
        None if is_alert(fields) && fields.get("properties").is_object() => one(fields, Vec::new(), reading),
        None => return false,
    }
    true
}

fn incident<'a>(fields: Json<'_, 'a>, reading: &mut Reading<'a>) {
    let properties = fields.get("properties");
    let alerts = properties.any(&["alerts", "relatedAlerts"]);
    if alerts.items().next().is_none() {
        reading.passed_over.push(&INCIDENT);
        return;
    }
    // The entities of an incident are those of its alerts: where there is one alert, they are its own.
    let alone = alerts.items().count() == 1;
    let related = |name| if alone { resources(properties.get(name)) } else { Vec::new() };
    alerts.items().for_each(|held| one(held, related("relatedEntities"), reading));
}

fn one<'a>(entity: Json<'_, 'a>, related: Vec<Text<'a>>, reading: &mut Reading<'a>) {
    let properties = entity.get("properties");
    let told = properties.any(&["systemAlertId", "alertDisplayName", "alertType"]).is_present();
    if is_alert(entity) || !entity.get("kind").is_present() && told {
        alert::take(entity, related, reading);
    } else {
        reading.passed_over.push(&OTHER);
    }
}

fn is_alert(entity: Json<'_, '_>) -> bool {
    entity.get("kind").str().is_some_and(|kind| kind.eq_ignore_ascii_case("SecurityAlert"))
}

fn resources<'a>(entities: Json<'_, 'a>) -> Vec<Text<'a>> {
    let is_resource = |kind: &str| ["AzureResource", "Host"].iter().any(|word| kind.eq_ignore_ascii_case(word));
    let of_kind = entities.items().filter(|entity| entity.get("kind").str().is_some_and(is_resource));
    of_kind.filter_map(|entity| entity.get("properties").text_of(&["resourceId", "azureID"])).collect()
}
