//! Known regions, for hints in errors. A region that is not listed may be new, so nothing is refused because of it.

/// The most used ones first: of two that are equally close to a misspelt name, the first is proposed.
const KNOWN: [&str; 39] = [
    "us-east-1",
    "us-east-2",
    "us-west-1",
    "us-west-2",
    "eu-central-1",
    "eu-west-1",
    "eu-west-2",
    "eu-west-3",
    "eu-north-1",
    "eu-south-1",
    "eu-south-2",
    "eu-central-2",
    "ap-northeast-1",
    "ap-northeast-2",
    "ap-northeast-3",
    "ap-south-1",
    "ap-south-2",
    "ap-southeast-1",
    "ap-southeast-2",
    "ap-southeast-3",
    "ap-southeast-4",
    "ap-southeast-5",
    "ap-southeast-6",
    "ap-southeast-7",
    "ap-east-1",
    "ap-east-2",
    "ca-central-1",
    "ca-west-1",
    "sa-east-1",
    "mx-central-1",
    "me-central-1",
    "me-south-1",
    "il-central-1",
    "af-south-1",
    "cn-north-1",
    "cn-northwest-1",
    "us-gov-east-1",
    "us-gov-west-1",
    "eusc-de-east-1",
];
/// Edits by which a misspelt name may differ from the proposed one.
const MAX_EDIT_DISTANCE: usize = 3;

/// What to say of a region whose host cannot be resolved; `None` if the region is known.
#[must_use]
pub fn unknown_region_hint(region: &str) -> Option<String> {
    if region.is_empty() || KNOWN.contains(&region) {
        return None;
    }
    let nearest =
        KNOWN.iter().map(|known| (edit_distance(region, known), *known)).min_by_key(|(distance, _)| *distance);
    let meant = nearest.filter(|(distance, _)| *distance <= MAX_EDIT_DISTANCE).map(|(_, known)| known);
    let question = meant.map(|known| format!("; did you mean {known}?")).unwrap_or_default();
    Some(format!("{region} is not a region that is known here{question}"))
}

/// Levenshtein distance.
fn edit_distance(one: &str, other: &str) -> usize {
    let mut row: Vec<usize> = (0..=other.chars().count()).collect();
    for (line, character) in one.chars().enumerate() {
        let mut before = row[0];
        row[0] = line + 1;
        for (column, candidate) in other.chars().enumerate() {
            let changed = before + usize::from(character != candidate);
            before = row[column + 1];
            row[column + 1] = changed.min(before + 1).min(row[column] + 1);
        }
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_region_is_proposed() {
        for (wrong, meant) in
            [("eu-west-9", "eu-west-1"), ("us-esat-1", "us-east-1"), ("eu-centrall-1", "eu-central-1")]
        {
            assert_eq!(
                unknown_region_hint(wrong).unwrap(),
                format!("{wrong} is not a region that is known here; did you mean {meant}?")
            );
        }
        assert_eq!(unknown_region_hint("moon-sea-7").unwrap(), "moon-sea-7 is not a region that is known here");
    }

    #[test]
    fn what_is_known_is_not_doubted() {
        assert!(KNOWN.iter().all(|region| unknown_region_hint(region).is_none()));
        assert_eq!(unknown_region_hint(""), None);
    }
}
