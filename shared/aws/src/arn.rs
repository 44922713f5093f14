//! Names inside texts: ARNs and account ids.

/// The parts of an ARN: `arn:partition:service:region:account:resource`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Arn<'a> {
    pub partition: &'a str,
    pub service: &'a str,
    pub region: &'a str,
    pub account: &'a str,
    pub resource: &'a str,
}

impl<'a> Arn<'a> {
    /// Reads an ARN; anything else is none.
    pub(crate) fn parse(text: &'a str) -> Option<Self> {
        let mut parts = text.splitn(6, ':');
        if parts.next()? != "arn" {
            return None;
        }
        let (partition, service) = (parts.next()?, parts.next()?);
        Some(Arn { partition, service, region: parts.next()?, account: parts.next()?, resource: parts.next()? })
    }

    /// The account, where it is one of a customer (`aws` and empty are not).
    pub(crate) fn account(self) -> Option<&'a str> {
        is_account(self.account).then_some(self.account)
    }

    /// The region, where there is one.
    pub(crate) fn region(self) -> Option<&'a str> {
        (!self.region.is_empty()).then_some(self.region)
    }

    /// The short name, where the form leaves no doubt: `bucket`, `instance/i-1`, `db:name`, and the last part of an IAM path.
    pub(crate) fn name(self) -> Option<&'a str> {
        let mut parts = self.resource.split([':', '/']);
        let (first, second, more) = (parts.next()?, parts.next(), parts.next());
        let name = match (second, more) {
            (None, _) => first,
            (Some(name), None) => name,
            _ if self.service == "iam" => self.resource.rsplit('/').next()?,
            _ => return None,
        };
        (!name.is_empty()).then_some(name)
    }
}

/// The account an ARN names; see [`Arn::account`].
pub(crate) fn account_in(arn: &str) -> Option<&str> {
    Arn::parse(arn)?.account()
}

/// The region an ARN names.
pub(crate) fn region_in(arn: &str) -> Option<&str> {
    Arn::parse(arn)?.region()
}

/// The short name in an ARN; see [`Arn::name`].
pub(crate) fn name_in(arn: &str) -> Option<&str> {
    Arn::parse(arn)?.name()
}

/// Whether a text is an AWS account id.
pub(crate) fn is_account(text: &str) -> bool {
    text.len() == 12 && text.bytes().all(|b| b.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_an_arn_is_taken_only_where_it_is_plain() {
        let name = |arn| Arn::parse(arn).and_then(Arn::name);
        assert_eq!(name("arn:aws:s3:::logs"), Some("logs"));
        assert_eq!(name("arn:aws:ec2:eu-west-1:111122223333:instance/i-1"), Some("i-1"));
        assert_eq!(name("arn:aws:rds:eu-west-1:111122223333:db:orders"), Some("orders"));
        assert_eq!(name("arn:aws:iam::111122223333:user/teams/red/ann"), Some("ann"));
        assert_eq!(name("arn:aws:elasticloadbalancing:eu-west-1:111122223333:loadbalancer/app/front/50dc"), None);
        assert_eq!(name("i-1"), None);
    }
}
