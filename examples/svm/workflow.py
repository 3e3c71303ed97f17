"""Trains a support vector machine on AWS Batch, and scores it where the server runs."""

import covalent as ct
from numpy.random import permutation
from sklearn import datasets, svm

from covalent_awsbatch_plugin import AWSBatchExecutor

# Resources of the job; whatever is not said here comes from the configuration.
executor = AWSBatchExecutor(vcpu=2, memory=3.75, time_limit=300, retry_on="infrastructure")

# Installed in the job before the task runs. Pin versions (numpy==…) where the image has others than you.
deps_pip = ct.DepsPip(packages=["numpy", "scikit-learn"])


@ct.electron
def load_data():
    iris = datasets.load_iris()
    order = permutation(iris.target.size)
    return iris.data[order], iris.target[order]


@ct.electron(executor=executor, deps_pip=deps_pip)
def train_svm(data, C, gamma):
    X, y = data
    print(f"training on {len(y[90:])} flowers with C={C} and gamma={gamma}")
    return svm.SVC(C=C, gamma=gamma).fit(X[90:], y[90:])


@ct.electron
def score_svm(data, clf):
    X, y = data
    return clf.score(X[:90], y[:90])


@ct.lattice
def run_experiment(C=1.0, gamma=0.7):
    data = load_data()
    clf = train_svm(data=data, C=C, gamma=gamma)
    return score_svm(data=data, clf=clf)


if __name__ == "__main__":
    dispatch_id = ct.dispatch(run_experiment)(C=1.0, gamma=0.7)
    print(ct.get_result(dispatch_id, wait=True).result)
