//! Sets of instructions, chosen when the program runs.

use std::sync::OnceLock;

/// Declares [`Feature`]: each with the target that may have it and the name it has there.
macro_rules! features {
    ($($(#[$doc:meta])* $feature:ident = $target:tt $name:tt,)*) => {
        /// A feature that one processor may have and another not.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Feature {
            $($(#[$doc])* $feature,)*
        }

        impl Feature {
            /// Every feature that is known here.
            pub const ALL: &'static [Self] = &[$(Self::$feature,)*];

            /// Whether this machine has it; never on another target.
            #[must_use]
            #[inline]
            pub fn is_present(self) -> bool {
                match self {
                    $(Self::$feature => has!($target $name),)*
                }
            }
        }
    };
}

/// Whether a machine of a target has a feature.
macro_rules! has {
    ("x86_64" $name:tt) => {{
        #[cfg(target_arch = "x86_64")]
        let has = std::arch::is_x86_feature_detected!($name);
        #[cfg(not(target_arch = "x86_64"))]
        let has = false;
        has
    }};
    ("aarch64" $name:tt) => {{
        #[cfg(target_arch = "aarch64")]
        let has = std::arch::is_aarch64_feature_detected!($name);
        #[cfg(not(target_arch = "aarch64"))]
        let has = false;
        has
    }};
}

features! {
    /// 256-bit integers.
    Avx2 = "x86_64" "avx2",
    /// Fused multiplication and addition.
    Fma = "x86_64" "fma",
    /// Conversion from and to half precision.
    F16c = "x86_64" "f16c",
    /// Bit manipulation, first part.
    Bmi1 = "x86_64" "bmi1",
    /// Bit manipulation, second part.
    Bmi2 = "x86_64" "bmi2",
    /// Count of leading zeros.
    Lzcnt = "x86_64" "lzcnt",
    /// Count of ones.
    Popcnt = "x86_64" "popcnt",
    /// Products of 8-bit integers, in 256 bits.
    AvxVnni = "x86_64" "avxvnni",
    /// 512-bit vectors.
    Avx512f = "x86_64" "avx512f",
    /// The same of bytes and words.
    Avx512bw = "x86_64" "avx512bw",
    /// The same of double and quad words.
    Avx512dq = "x86_64" "avx512dq",
    /// The same in 128 and 256 bits.
    Avx512vl = "x86_64" "avx512vl",
    /// Products of 8-bit integers, in 512 bits.
    Avx512vnni = "x86_64" "avx512vnni",
    /// Count of ones in each lane of 512 bits.
    Avx512vpopcntdq = "x86_64" "avx512vpopcntdq",
    /// 128-bit vectors of 64-bit ARM.
    Neon = "aarch64" "neon",
}

/// A set of instructions that a crate has kernels for.
#[derive(Debug)]
pub struct Tier<S> {
    /// The set, as the crate's kernels know it.
    pub set: S,
    /// Its name, for people and reports.
    pub name: &'static str,
    /// All that its kernels enable.
    pub needs: &'static [Feature],
}

/// The sets of instructions that a crate has kernels for; its kernels match on the type.
pub trait Tiers: Copy + PartialEq + 'static {
    /// Every set, the fastest last. The first one needs nothing.
    const ALL: &'static [Tier<Self>];

    /// Where the best level is kept once it is known: a static that nothing else uses.
    fn best() -> &'static OnceLock<Level<Self>>;
}

/// A set of instructions that this machine has.
///
/// Only [`Level::available`] and [`Level::PORTABLE`] make one, so a function compiled with the
/// features that its tier needs may be called.
#[derive(Debug)]
pub struct Level<S: 'static>(&'static Tier<S>);

impl<S> Clone for Level<S> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<S> Copy for Level<S> {}

impl<S: PartialEq> PartialEq for Level<S> {
    fn eq(&self, other: &Self) -> bool {
        self.0.set == other.0.set
    }
}

impl<S: Eq> Eq for Level<S> {}

impl<S: Tiers> Level<S> {
    /// Plain Rust, with whatever the target always has.
    pub const PORTABLE: Self = {
        assert!(S::ALL[0].needs.is_empty(), "expected a first tier that needs nothing");
        Self(&S::ALL[0])
    };

    /// Every level that this machine has, the fastest last.
    #[must_use]
    pub fn available() -> Vec<Self> {
        let [_, faster @ ..] = S::ALL else { return vec![Self::PORTABLE] };
        let has = |tier: &&Tier<S>| tier.needs.iter().all(|feature| feature.is_present());
        std::iter::once(Self::PORTABLE).chain(faster.iter().filter(has).map(Self)).collect()
    }

    /// The fastest level of this machine.
    #[must_use]
    #[inline]
    pub fn best() -> Self {
        *S::best().get_or_init(|| Self::available().pop().unwrap_or(Self::PORTABLE))
    }

    /// Its name, for reports.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.0.name
    }

    /// Its set of instructions, for kernels to match on.
    #[must_use]
    #[inline]
    pub fn set(self) -> S {
        self.0.set
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    enum Set {
        Portable,
        X86,
        Arm,
        Both,
    }

    impl Tiers for Set {
        const ALL: &'static [Tier<Self>] = &[
            Tier { set: Self::Portable, name: "portable", needs: &[] },
            Tier { set: Self::X86, name: "x86", needs: &[Feature::Avx2, Feature::Popcnt] },
            Tier { set: Self::Arm, name: "arm", needs: &[Feature::Neon] },
            Tier { set: Self::Both, name: "both", needs: &[Feature::Avx2, Feature::Neon] },
        ];

        fn best() -> &'static OnceLock<Level<Self>> {
            static BEST: OnceLock<Level<Set>> = OnceLock::new();
            &BEST
        }
    }

    #[test]
    fn a_level_is_there_where_all_that_it_needs_is() {
        let mut expected = vec![Set::Portable];
        #[cfg(target_arch = "x86_64")]
        if std::arch::is_x86_feature_detected!("avx2")
            && std::arch::is_x86_feature_detected!("popcnt")
        {
            expected.push(Set::X86);
        }
        #[cfg(target_arch = "aarch64")]
        expected.push(Set::Arm);
        let available = Level::<Set>::available();
        assert_eq!(expected, available.iter().map(|level| level.set()).collect::<Vec<_>>());
        assert_eq!(available.last(), Some(&Level::best()));
        assert_eq!(available[0], Level::PORTABLE);
        assert_eq!(available[0].name(), "portable");
    }

    #[test]
    fn no_machine_has_features_of_two_targets() {
        let (arm, x86) = (Feature::Neon.is_present(), Feature::Popcnt.is_present());
        assert!(!(arm && x86));
        if cfg!(target_arch = "aarch64") {
            assert!(arm);
        }
        let present = Feature::ALL.iter().filter(|feature| feature.is_present()).count();
        assert!(present <= if cfg!(target_arch = "x86_64") { Feature::ALL.len() - 1 } else { 1 });
    }
}
